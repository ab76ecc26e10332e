use super::*;
use crate::{Source, Standardise, Standardiser};

fn draw(count: usize, size: usize, colour: bool, split: u64) -> Images {
    super::draw(count, size, colour, split).unwrap()
}

#[test]
fn images_for_which_there_is_no_memory_are_refused() {
    for count in [usize::MAX, usize::MAX / 200] {
        let refused = super::draw(count, 8, true, 0).unwrap_err().to_string();
        assert!(refused.starts_with(&format!("{count} shapes of 8×8 pixels take ")), "{refused}");
    }
}

#[test]
fn the_images_are_frozen() {
    // A change would change the meaning of every existing result on `shapes`.
    let drawn = [draw(64, 16, true, 0), draw(16, 12, false, 2), draw(4, 224, true, 0)];
    let sums = drawn.map(|images| digest(&[&images])[..16].to_owned());
    assert_eq!(sums, FROZEN);
}

const FROZEN: [&str; 3] = ["f77b56b81fe7c5d5", "9e2cd4837019305c", "e8003af5877c3e6c"];

#[test]
fn an_image_does_not_depend_on_the_number_of_images_or_threads() {
    let few = draw(7, 12, true, 0);
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let many = one_thread.install(|| draw(50, 12, true, 0));
    assert_eq!(few.pixels, many.pixels[..few.pixels.len()]);
    assert_ne!(few.pixels, draw(7, 12, true, 2).pixels, "test images differ from training images");
}

#[test]
fn classes_are_balanced_and_every_size_can_be_drawn() {
    for size in [8, 9, 13, 32, 96, 224] {
        let images = draw(20, size, size % 2 == 0, 0);
        assert_eq!(images.pixels.len(), 20 * images.shape.len());
        for class in 0..10 {
            assert_eq!(images.labels.iter().filter(|label| **label == class).count(), 2);
        }
    }
    let too_small = Request { size: Some(7), ..Request::all(Source::Shapes, None) };
    let message = load(&too_small).unwrap_err().to_string();
    assert!(message.contains("from 8 to 224"), "{message}");
}

/// Trains softmax regression on standardised pixels; returns its error on each test set.
fn linear_error(train: &Images, test: [&Images; 2], epochs: usize) -> [f64; 2] {
    let standardiser = Standardiser::measure(&Standardise::PerFeature, &train.clone().into());
    let numbers = |images: &Images| {
        let (mut out, all) = (Vec::new(), (0..images.len() as u32).collect::<Vec<_>>());
        standardiser.fill(&images.clone().into(), &all, &mut out);
        out
    };
    let (size, classes) = (train.shape.len(), CLASSES.len());
    let mut weights = vec![0.0f32; classes * (size + 1)];
    let scores = |weights: &[f32], image: &[f32]| -> Vec<f32> {
        weights
            .chunks_exact(size + 1)
            .map(|row| row[size] + row.iter().zip(image).map(|(w, x)| w * x).sum::<f32>())
            .collect()
    };
    let pixels = numbers(train);
    for epoch in 0..epochs {
        let rate = 0.002 * (1.0 - epoch as f32 / epochs as f32);
        let order = Stream::new(1, Purpose::Order, epoch as u64, 0).permutation(train.len());
        for index in order.into_iter().map(|index| index as usize) {
            let image = &pixels[index * size..(index + 1) * size];
            let scores = scores(&weights, image);
            let highest = scores.iter().copied().fold(f32::MIN, f32::max);
            let powers: Vec<f32> = scores.iter().map(|score| (score - highest).exp()).collect();
            let total: f32 = powers.iter().sum();
            for (class, row) in weights.chunks_exact_mut(size + 1).enumerate() {
                let right = usize::from(train.labels[index]) == class;
                let step = rate * (f32::from(right) - powers[class] / total);
                row[size] += step;
                row.iter_mut().zip(image).for_each(|(weight, x)| *weight += step * x);
            }
        }
    }
    test.map(|images| {
        let pixels = numbers(images);
        let wrong = pixels.chunks_exact(size).zip(&images.labels).filter(|(image, label)| {
            let scores = scores(&weights, image);
            let best = (0..classes).max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
            best != Some(usize::from(**label))
        });
        wrong.count() as f64 / images.len() as f64
    })
}

#[test]
fn a_linear_classifier_errs_on_most_test_images() {
    let (train, test) = (draw(10_000, 16, true, 0), draw(2_000, 16, true, 2));
    let [seen, unseen] = linear_error(&train, [&train, &test], 8);
    println!(
        "error of the linear classifier: {:.1}% on training images, {:.1}% on test images",
        100.0 * seen,
        100.0 * unseen
    );
    assert!(seen < 0.8, "the classifier learns: {seen}");
    assert!(unseen >= 0.3, "{unseen}");
    // The same classifier learns images in which one pixel marks the class.
    let mut marked = [train, test];
    for images in &mut marked {
        let size = images.shape.len();
        for (image, label) in images.pixels.chunks_exact_mut(size).zip(&images.labels) {
            image[usize::from(*label)] = 255;
        }
    }
    let [train, test] = marked;
    let [_, unseen] = linear_error(&train, [&train, &test], 8);
    assert!(unseen < 0.3, "{unseen}");
}

#[test]
#[ignore = "a timing: run it alone, in release, on an idle machine"]
fn twenty_thousand_pictures_take_less_than_a_second() {
    let clock = std::time::Instant::now();
    assert_eq!(draw(20_000, 16, true, 0).len(), 20_000);
    let seconds = clock.elapsed().as_secs_f64();
    println!("20,000 pictures of 16×16 in {seconds:.2} s");
    assert!(seconds < 1.0, "{seconds}");
}
