//! Figures in which the user says what colours and panels distinguish.

use super::special::rich;
use super::*;

fn with(colour: Option<&str>, facet: Option<&str>) -> Options {
    let name = |key: Option<&str>| key.map(str::to_owned);
    Options { colour: name(colour), facet: name(facet), ..options() }
}

#[test]
fn panels_of_curves_distinguish_the_facet_first_and_then_what_colours_do_not() {
    let mut results = rich();
    results.keep(&"lr=0.01,family=plain".parse().unwrap()).unwrap();
    let of = |colour, facet| words(&results, Figure::Curves, &with(colour, facet));
    assert!(of(None, None).contains("depth: 8 44"));
    let drawn = of(None, Some("depth"));
    assert!(drawn.contains("Depth 8: ") && drawn.contains("norm: batch none"), "{drawn}");
    assert!(drawn.contains("All runs: plain, lr 0.01."), "{drawn}");
    let drawn = words(&rich(), Figure::Curves, &with(Some("lr"), Some("norm")));
    assert!(drawn.contains("Norm batch, plain, depth 8: "), "{drawn}");
    assert!(drawn.contains("lr: 0.01 0.1"), "{drawn}");
}

#[test]
fn panels_of_final_errors_distinguish_what_colours_do_not() {
    let drawn = words(&rich(), Figure::Panels, &with(Some("lr"), Some("family")));
    for title in ["Plain, norm batch", "Plain, norm none", "Residual, norm none"] {
        assert!(drawn.contains(title), "{title} is not in {drawn}");
    }
    assert!(drawn.contains("Lr 0.01 Lr 0.1"), "{drawn}");
    let colour = hex(palette::of_rank(1, 2));
    let drawing = Drawing::of(&rich(), Figure::Panels, &with(Some("lr"), None));
    assert!(!drawing.curves(&colour).is_empty(), "rates have an order, and so have their colours");
    let both = svg(&rich(), Figure::Panels, &with(Some("norm"), Some("norm")));
    assert!(both.unwrap_err().to_string().contains("cannot both be those of norm"));
}

#[test]
fn series_of_one_value_have_one_colour_and_marks_of_their_own() {
    let mut results = rich();
    results.keep(&"lr=0.01".parse().unwrap()).unwrap();
    let drawing = Drawing::of(&results, Figure::Depth, &with(Some("norm"), None));
    // Plain and residual nets in each of the two panels.
    let [batch, none] = [0, 1].map(|index| hex(palette::of_category(index)));
    for colour in [batch, none] {
        let both = drawing.curves(&colour).len() + drawing.dashes(&colour).len().min(2);
        assert!(both >= 4, "{both} lines of {colour}");
    }
    let third = hex(palette::of_category(2));
    assert!(drawing.curves(&third).is_empty(), "there are two values, not four series");
}

#[test]
fn panels_of_rates_distinguish_the_facet_first() {
    let drawn = words(&rich(), Figure::RateDepth, &with(None, Some("norm")));
    assert!(drawn.contains("Norm batch, plain: trains up to"), "{drawn}");
    let message = svg(&rich(), Figure::RateDepth, &with(None, Some("lr"))).unwrap_err().to_string();
    assert!(message.contains("lr and depth are its axes"), "{message}");
}

/// Sizes of text, and right ends of texts that begin at their position, in an SVG.
fn texts(svg: &str) -> (Vec<f64>, Vec<(f64, &str)>) {
    let (mut sizes, mut ends) = (Vec::new(), Vec::new());
    let mut lines = svg.lines();
    while let Some(line) = lines.next() {
        let number = |name: &str| -> Option<f64> {
            line.split_once(&format!(" {name}=\""))?.1.split('"').next()?.parse().ok()
        };
        if !line.starts_with("<text") {
            continue;
        }
        let size = number("font-size").unwrap();
        sizes.push(size);
        if line.contains("text-anchor=\"start\"") && !line.contains("rotate") {
            let text = lines.next().unwrap_or_default();
            ends.push((
                number("x").unwrap()
                    + canvas::text_width(&text.replace("&apos;", "'"), 1.24 * size),
                text,
            ));
        }
    }
    (sizes, ends)
}

#[test]
fn a_figure_on_paper_has_its_width_and_text_that_can_be_read() {
    let results = rich();
    for (width, units, size) in [(Width::Column, 661.0, "84mm"), (Width::Page, 1370.0, "174mm")] {
        for figure in Figure::ALL.iter().copied() {
            let options = Options { width: Some(width), below: Some(40.0), ..options() };
            let drawn = svg(&results, figure, &options).unwrap();
            let head = drawn.lines().next().unwrap();
            assert!(head.starts_with(&format!("<svg width=\"{size}\" height=\"")), "{head}");
            assert!(head.contains(&format!("viewBox=\"0 0 {units} ")), "{head}");
            let (sizes, ends) = texts(&drawn);
            let smallest = sizes.into_iter().fold(f64::INFINITY, f64::min) * 0.36;
            assert!(smallest >= 6.0, "{figure}: {smallest} points");
            let beyond: Vec<_> = ends.into_iter().filter(|(end, _)| *end > units).collect();
            assert!(beyond.is_empty(), "{figure}: {beyond:?} beyond {units}");
        }
    }
}

#[test]
fn a_pdf_has_the_size_of_its_figure_and_the_same_bytes_each_time() {
    let on = |width| {
        let options = Options { width, ..options() };
        to_pdf(&svg(&sweep().into(), Figure::Curves, &options).unwrap()).unwrap()
    };
    let pdf = on(Some(Width::Column));
    assert!(pdf.starts_with(b"%PDF") && pdf == on(Some(Width::Column)));
    let box_of = |pdf: &[u8]| {
        let text = String::from_utf8_lossy(pdf).into_owned();
        let sides = text.split_once("/MediaBox [").expect("a page").1.split_once(']').unwrap().0;
        sides.split_whitespace().map(|side| side.parse::<f64>().unwrap()).collect::<Vec<_>>()
    };
    let across = box_of(&pdf)[2] / 72.0 * 25.4;
    assert!((across - 84.0).abs() < 0.1, "{across} mm");
    assert_eq!(box_of(&on(None))[2], 1600.0 * 0.75, "two panels: 1600 units, of 96 an inch");
    assert!(String::from_utf8_lossy(&pdf).contains("DejaVuSans"), "the font is in the file");
    for unread in [to_pdf("no SVG"), to_png("no SVG")] {
        assert!(unread.unwrap_err().to_string().contains("cannot read the SVG"));
    }
}

#[test]
fn a_png_has_a_pixel_for_each_unit_and_300_for_each_inch_on_paper() {
    for (width, pixels) in [(None, 1600), (Some(Width::Column), 992), (Some(Width::Page), 2055)] {
        let options = Options { width, ..options() };
        let drawn = svg(&sweep().into(), Figure::Curves, &options).unwrap();
        let picture = image::load_from_memory(&to_png(&drawn).unwrap()).unwrap().to_rgb8();
        assert_eq!(picture.width(), pixels);
        assert_eq!(picture.get_pixel(0, 0).0, [255; 3], "the ground is white");
        let dark = picture.pixels().filter(|pixel| pixel.0.iter().all(|part| *part < 100)).count();
        assert!(dark > 2000, "texts and axes are drawn: {dark} dark pixels");
    }
}
