//! The HTML report: one page with its style, data and scripts in the same file.

use super::data::{data, for_script};
use super::{Report, sections};
use maud::{DOCTYPE, Markup, PreEscaped, html as markup};

const STYLE: &str = include_str!("page.css");
/// The parts of the script, in a scope of their own.
const SCRIPT: &str = concat!(
    "\"use strict\";\n(() => {\n",
    include_str!("script/select.js"),
    include_str!("script/draw.js"),
    include_str!("script/figures.js"),
    include_str!("script/heat.js"),
    include_str!("script/page.js"),
    "})();\n"
);
const PLOTLY: &str = include_str!("plotly/plotly-basic.min.js");

/// Scripts and styles of the page itself only, and nothing from a network.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                      img-src data: blob:";

/// Renders the report as one HTML file that needs neither other files nor a network.
pub fn html(report: &Report) -> String {
    let page = markup! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                link rel="icon" href="data:,";
                title { (report.name) " — fathom" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#claims" { "Skip to the claims" }
                header {
                    (sections::head(report))
                    button #theme type="button" { "Switch theme" }
                }
                main { (sections(report)) }
                script #data type="application/json" { (PreEscaped(for_script(&data(report)))) }
                script { (PreEscaped(PLOTLY)) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

fn sections(report: &Report) -> Markup {
    markup! {
        div.answer {
            section #claims { h2 { "Claims" } (sections::verdicts(report)) }
            section {
                h2 #title { "Final values" }
                (controls())
                div #finals-part {
                    div #finals role="img" aria-label="Final values of the chosen metric; the numbers are in the \
                                                       table below" {}
                }
            }
        }
        fieldset #filters {
            legend { "Only these values" }
            button #clear type="button" { "Show all" }
        }
        p #said role="status" {}
        section {
            h2 { "Curves" }
            (curve_controls())
            div #curves role="img" aria-label="Curves of the chosen metric by step" {}
        }
        section #heat-section {
            h2 { "All values of the swept keys" }
            div #heat {}
        }
        section #final-values { h2 { "Final values" } (sections::finals(report)) }
        section { h2 { "Runs" } details { summary { "Every run" } (sections::runs(report)) } }
        section { h2 { "Provenance" } (sections::provenance(report)) }
    }
}

/// Controls of the main figure. The script adds the metrics and the keys.
fn controls() -> Markup {
    markup! {
        div.controls {
            label { "Metric " select #metric {} }
            label { "Against " select #against {} }
            label { "Colour " select #colour {} }
            label { "Panels " select #panels {} }
            label { input #best type="checkbox" checked; " best" }
            label { input #logy type="checkbox"; " logarithmic" }
        }
    }
}

/// Controls that only curves have.
fn curve_controls() -> Markup {
    markup! {
        div.controls {
            label { "Colour " select #curve-colour {} }
            label { "Panels " select #curve-panels {} }
            label { input #logx type="checkbox"; " logarithmic steps" }
            label { input #seeds type="checkbox"; " individual seeds" }
            button #reset type="button" { "Reset zoom" }
        }
    }
}
