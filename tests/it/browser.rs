//! The report as a browser shows it.

use crate::large::sweep::{self, Size};
use crate::support::{skip, succeed};
use headless_chrome::browser::tab::Tab;
use headless_chrome::protocol::cdp::Input::{
    DispatchMouseEvent, DispatchMouseEventTypeOption, MouseButton,
};
use headless_chrome::protocol::cdp::types::Event;
use headless_chrome::protocol::cdp::{Emulation, Network};
use headless_chrome::{Browser, LaunchOptions};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A browser of this machine; `None`, and the test is skipped, if there is none.
fn browser() -> Option<Browser> {
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let folders: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let mut places = names.iter().flat_map(|name| folders.iter().map(move |f| f.join(name)));
    let Some(path) = places.find(|path| path.is_file()) else {
        skip("Chromium is not installed");
        return None;
    };
    let options = LaunchOptions {
        path: Some(path),
        sandbox: false,
        window_size: Some((1280, 900)),
        idle_browser_timeout: Duration::from_secs(120),
        ..LaunchOptions::default()
    };
    Some(Browser::new(options).expect("the browser starts"))
}

/// A page with what it said and asked for.
struct Page {
    tab: Arc<Tab>,
    complaints: Arc<Mutex<Vec<String>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Page {
    fn open(browser: &Browser, file: &Path) -> Self {
        let tab = browser.new_tab().expect("a tab");
        let (complaints, requests) = (Arc::default(), Arc::default());
        let page = Self { tab, complaints, requests };
        let (complaints, requests) = (Arc::clone(&page.complaints), Arc::clone(&page.requests));
        let note = |list: &Mutex<Vec<String>>, text| list.lock().expect("no panic").push(text);
        let listen = move |event: &Event| match event {
            Event::LogEntryAdded(entry) => note(&complaints, entry.params.entry.text.clone()),
            Event::RuntimeExceptionThrown(thrown) => {
                note(&complaints, format!("{:?}", thrown.params.exception_details));
            }
            Event::NetworkRequestWillBeSent(sent) => {
                note(&requests, sent.params.request.url.chars().take(200).collect());
            }
            _ => {}
        };
        page.tab.add_event_listener(Arc::new(listen)).expect("events");
        page.tab.enable_log().expect("a log");
        page.tab.enable_runtime().expect("exceptions");
        let enable = Network::Enable {
            max_total_buffer_size: None,
            max_resource_buffer_size: None,
            max_post_data_size: None,
            report_direct_socket_traffic: None,
            enable_durable_messages: None,
        };
        page.tab.call_method(enable).expect("requests");
        let address = format!("file://{}", file.display());
        page.tab.navigate_to(&address).expect("an address");
        let begun = Instant::now();
        while page.ask("document.documentElement.dataset.ready || ''") != "yes" {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "never ready: {:?}",
                page.complaints
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        page
    }

    /// The value of an expression as text.
    fn ask(&self, expression: &str) -> String {
        let text = format!("String({expression})");
        let found = self.tab.evaluate(&text, false).expect(expression);
        found.value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    }

    fn number(&self, expression: &str) -> f64 {
        let text = self.ask(expression);
        text.parse().unwrap_or_else(|_| panic!("{expression} is {text}"))
    }

    fn click(&self, selector: &str) {
        self.tab.wait_for_element(selector).expect(selector).click().expect(selector);
    }

    fn mouse(&self, kind: DispatchMouseEventTypeOption, (x, y): (f64, f64), buttons: u32) {
        let event = DispatchMouseEvent {
            Type: kind,
            x,
            y,
            modifiers: None,
            timestamp: None,
            button: Some(MouseButton::Left),
            buttons: Some(buttons),
            click_count: Some(1),
            force: None,
            tangential_pressure: None,
            tilt_x: None,
            tilt_y: None,
            twist: None,
            delta_x: None,
            delta_y: None,
            pointer_Type: None,
        };
        self.tab.call_method(event).expect("the mouse");
    }

    fn is_clean(&self) {
        let complaints = self.complaints.lock().expect("no panic");
        assert!(complaints.is_empty(), "{complaints:?}");
        let requests = self.requests.lock().expect("no panic");
        let leaves = |url: &&String| !url.starts_with("file://") && !url.starts_with("data:");
        let left: Vec<&String> = requests.iter().filter(leaves).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Milliseconds from opening a report until it can be used.
const INTERACTIVE: f64 = 2000.0;

/// Further loads where the first one took longer.
const LOADS: u64 = 8;

const SAID: &str = "document.getElementById('said').textContent";

const TRACES: &str = "document.getElementById('curves').data.length";

#[test]
fn the_report_of_two_hundred_runs_is_used_in_a_browser() {
    let (folder, _) = sweep::written(sweep::LARGE);
    succeed(folder.path(), &["report", "results/large"]);
    let file = folder.path().join("results/large/report.html");
    let megabytes = file.metadata().expect("written").len() as f64 / 1e6;
    assert!(megabytes < 20.0, "{megabytes} MB");
    let Some(browser) = browser() else { return };
    // What the page takes is the least of some loads: other tests, and whatever else the machine
    // does, only add to it. Those that come later have fewer tests beside them.
    let opened = |load: u64| {
        std::thread::sleep(Duration::from_secs(2 * load));
        let page = Page::open(&browser, &file);
        let timing = "performance.getEntriesByType('navigation')[0].domInteractive";
        (page.number(timing), page)
    };
    let (mut ready, mut page) = opened(0);
    for load in 1..=LOADS {
        if ready < INTERACTIVE {
            break;
        }
        let (again, other) = opened(load);
        if again < ready {
            (ready, page) = (again, other);
        }
    }
    page.tab.bring_to_front().expect("in front");
    println!("{megabytes:.1} MB, interactive after {ready:.0} ms");
    assert!(ready < INTERACTIVE, "{ready} ms");

    // Ten configurations, a band and a mean each, and the colours of five depths; filtered, and all again.
    assert_eq!(page.number(TRACES), 25.0);
    page.click("[aria-label='Values of family that are shown'] button");
    assert_eq!(page.number(TRACES), 15.0);
    assert!(page.ask(SAID).starts_with("5 of 10 configurations are shown: family plain."));
    page.click("#clear");
    assert_eq!(page.number(TRACES), 25.0);
    page.click("#seeds");
    assert_eq!(page.number(TRACES), 215.0);
    page.click("#seeds");

    // A rectangle dragged with the mouse zooms, and the button shows the whole range again.
    let range = "document.getElementById('curves').layout.xaxis.range[1]";
    let whole = page.number(range);
    page.ask("document.getElementById('curves').scrollIntoView()");
    let edge = |side: &str| {
        page.number(&format!(
            "document.querySelector('#curves .nsewdrag').getBoundingClientRect().{side}"
        ))
    };
    let (left, top, width, height) = (edge("left"), edge("top"), edge("width"), edge("height"));
    let at = |x: f64, y: f64| (left + x * width, top + y * height);
    page.mouse(DispatchMouseEventTypeOption::MouseMoved, at(0.2, 0.2), 0);
    page.mouse(DispatchMouseEventTypeOption::MousePressed, at(0.2, 0.2), 1);
    page.mouse(DispatchMouseEventTypeOption::MouseMoved, at(0.35, 0.5), 1);
    page.mouse(DispatchMouseEventTypeOption::MouseMoved, at(0.5, 0.8), 1);
    page.mouse(DispatchMouseEventTypeOption::MouseReleased, at(0.5, 0.8), 0);
    let begun = Instant::now();
    while page.number(range) >= 0.6 * whole {
        assert!(begun.elapsed() < Duration::from_secs(5), "{range} stays at {whole}");
        std::thread::sleep(Duration::from_millis(50));
    }
    page.click("#reset");
    assert!(page.number(range) > 0.9 * whole);

    // Sorted by a column of numbers, both ways.
    let header = "table.sortable thead th:nth-child(2) button";
    let first = "document.querySelector('table.sortable tbody td:nth-child(2)').textContent";
    page.click(header);
    assert_eq!(page.ask(first), "8");
    page.click(header);
    assert_eq!(page.ask(first), "56");

    // The other theme.
    let paper = "getComputedStyle(document.body).backgroundColor";
    let before = page.ask(paper);
    page.click("#theme");
    assert_ne!(page.ask(paper), before);

    // Everything that can be pressed can be reached by the keyboard.
    let unreachable = "[...document.querySelectorAll('button, select, input')].filter(e => e.tabIndex < 0).length";
    assert_eq!(page.number(unreachable), 0.0);
    page.is_clean();
}

/// The report of results in this repository, in a folder.
fn report_of(name: &str) -> (TempDir, PathBuf) {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("results").join(name);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("report.html");
    let (home, out) = (home.display().to_string(), file.display().to_string());
    succeed(folder.path(), &["report", &home, "--out", &out]);
    (folder, file)
}

/// Lower edge of an element in pixels from the upper edge of the window.
fn bottom(page: &Page, selector: &str) -> f64 {
    page.number(&format!("document.querySelector('{selector}').getBoundingClientRect().bottom"))
}

/// Numbers of lines of means in a figure, and of different places, colours and dashes among them.
const LINES: &str = "(() => { const lines = document.getElementById('FIGURE').data \
    .filter(trace => trace.x[0] !== null && trace.line && trace.line.width !== 0 && trace.y.length); \
    const looks = new Set(lines.map(t => [t.xaxis, t.line.color, t.line.dash].join())); \
    return `${lines.length} ${looks.size}`; })()";

fn lines(page: &Page, figure: &str) -> (usize, usize) {
    let text = page.ask(&LINES.replace("FIGURE", figure));
    let (count, looks) = text.split_once(' ').expect("two numbers");
    (count.parse().expect("a number"), looks.parse().expect("a number"))
}

#[test]
fn the_answer_is_in_the_first_screen_and_chips_choose_configurations() {
    let (_folder, file) = report_of("batchnorm");
    let Some(browser) = browser() else { return };
    let page = Page::open(&browser, &file);
    page.tab.bring_to_front().expect("in front");
    for part in [".question", "#claims li", "#finals"] {
        let bottom = bottom(&page, part);
        assert!(bottom <= 900.0, "{part} ends at {bottom}");
    }
    assert!(page.ask("document.getElementById('title').textContent").ends_with("against depth"));

    // Families, depths and norms, each at its best rate, and the best of each in the map of all rates.
    assert!(
        page.ask(SAID).starts_with("12 of 12 configurations are shown. "),
        "{}",
        page.ask(SAID)
    );
    assert!(page.ask(SAID).contains("at its own best lr, chosen by train_err_pct of seed"));
    assert_eq!(lines(&page, "finals"), (4, 4), "a norm of a family each");
    assert_eq!(lines(&page, "curves"), (12, 12));
    assert_eq!(page.number("document.querySelectorAll('.heat').length"), 4.0);
    assert_eq!(page.number("document.querySelectorAll('.heat td.best').length"), 12.0);

    // A chip is pressed with the keyboard, and says so.
    let chip = "document.querySelector('[aria-label=\"Values of norm that are shown\"] button')";
    page.ask(&format!("{chip}.focus()"));
    page.tab.press_key("Enter").expect("a key");
    assert_eq!(page.ask(&format!("{chip}.getAttribute('aria-pressed')")), "true");
    assert!(page.ask(SAID).starts_with("6 of 12 configurations are shown: norm batch."));
    let rows = "[...document.querySelectorAll('#final-values tbody tr')].filter(row => !row.hidden).length";
    assert_eq!(
        page.number(rows) * 2.0,
        page.number("document.querySelectorAll('#final-values tbody tr').length")
    );

    // Without choosing, every rate has lines of its own.
    page.click("#clear");
    page.click("#best");
    let (count, looks) = lines(&page, "finals");
    assert!(count >= 24 && count == looks, "{count} lines, {looks} looks");
    page.is_clean();
}

#[test]
fn names_are_no_markup_in_figures() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let published =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/results/branch-scaling/curves.csv"));
    let names = ["a<br>b x<sup>2</sup>", "&lt;"];
    let curves = published.replace(",ReZero,", &format!(",{},", names[0]));
    let curves = curves.replace(",LayerScale,", &format!(",{},", names[1]));
    std::fs::write(folder.path().join("curves.csv"), curves).expect("writable");
    succeed(folder.path(), &["report", "."]);
    let Some(browser) = browser() else { return };
    let page = Page::open(&browser, &folder.path().join("report.html"));
    for figure in ["finals", "curves"] {
        let texts = format!(
            "[...document.querySelectorAll('#{figure} text')].map(e => e.textContent).join('|')"
        );
        let texts = page.ask(&texts);
        for name in names {
            assert!(texts.contains(name), "{name} is not in {texts}");
        }
    }
    page.is_clean();
}

#[test]
fn two_hundred_configurations_have_a_line_each_that_no_other_has() {
    let (folder, _) = sweep::written_as(sweep::CONFIGURATIONS, Size { seeds: 1, rows: 12 });
    succeed(folder.path(), &["report", "results/large"]);
    let Some(browser) = browser() else { return };
    let page = Page::open(&browser, &folder.path().join("results/large/report.html"));
    assert!(page.ask(SAID).starts_with("200 of 200 configurations are shown. "));
    assert!(page.ask("document.getElementById('title').textContent").ends_with("against lr"));
    assert_eq!(lines(&page, "finals"), (20, 20));
    assert_eq!(lines(&page, "curves"), (200, 200));
    assert!(bottom(&page, "#finals") <= 900.0);

    // The same words on the command line: part of the runs, with a panel for each depth.
    let shown = ["--where", "network.norm=batch,lr=0.1,0.3", "--colour", "lr", "--facet", "depth"];
    succeed(
        folder.path(),
        &[&["report", "results/large", "--out", "part.html"], &shown[..]].concat(),
    );
    let page = Page::open(&browser, &folder.path().join("part.html"));
    assert!(page.ask(SAID).starts_with("20 of 20 configurations are shown. "));
    let head = page.ask("document.querySelector('header').textContent");
    assert!(head.contains("Only runs with norm = batch; lr = 0.1 or 0.3 are shown"), "{head}");
    assert_eq!(page.number("document.getElementById('finals').layout.annotations.length"), 5.0);
    page.is_clean();
}

#[test]
fn the_report_fits_a_phone() {
    for name in ["cifar10-small", "batchnorm"] {
        fits_a_phone(name);
    }
}

fn fits_a_phone(name: &str) {
    let (_folder, file) = report_of(name);
    let Some(browser) = browser() else { return };
    let page = Page::open(&browser, &file);
    let phone = Emulation::SetDeviceMetricsOverride {
        width: 360,
        height: 740,
        device_scale_factor: 2.0,
        mobile: true,
        ..narrow()
    };
    page.tab.call_method(phone).expect("a phone");
    page.tab.reload(true, None).expect("a page");
    std::thread::sleep(Duration::from_millis(1500));
    let width = page.number("document.documentElement.scrollWidth");
    assert!(width <= 360.0, "{width} pixels wide");
    assert!(page.number("document.getElementById('curves').getBoundingClientRect().width") > 250.0);
    page.is_clean();
}

fn narrow() -> Emulation::SetDeviceMetricsOverride {
    Emulation::SetDeviceMetricsOverride {
        width: 0,
        height: 0,
        device_scale_factor: 0.0,
        mobile: false,
        scale: None,
        screen_width: None,
        screen_height: None,
        position_x: None,
        position_y: None,
        dont_set_visible_size: None,
        screen_orientation: None,
        viewport: None,
        display_feature: None,
        device_posture: None,
    }
}
