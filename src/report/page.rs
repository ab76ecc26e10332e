//! The HTML report: one page with its style, data and scripts in the same file.

use super::data::{data, for_script};
use super::{Report, sections};
use maud::{DOCTYPE, Markup, PreEscaped, html as markup};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
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
        section #claims { h2 { "Claims" } (sections::verdicts(&report.verdicts)) }
        section {
            h2 { "Curves" }
            (controls())
            div #curves role="img" aria-label="Curves of the chosen metric by step" {}
            p #said role="status" {}
        }
        section {
            h2 { "Final value against depth" }
            div #depth role="img" aria-label="Final value of the chosen metric against depth; the \
                                              numbers are in the table below" {}
        }
        section { h2 { "Final values" } (sections::finals(report)) }
        section { h2 { "Runs" } (sections::runs(report)) }
        section { h2 { "Provenance" } (sections::provenance(report)) }
    }
}

/// Controls of the curves. The script adds the metrics and the configurations.
fn controls() -> Markup {
    markup! {
        div.controls {
            label { "Metric " select #metric {} }
            label { input #logx type="checkbox"; " logarithmic step axis" }
            label { input #logy type="checkbox"; " logarithmic value axis" }
            label { input #seeds type="checkbox"; " individual seeds" }
            button #reset type="button" { "Reset zoom" }
        }
        fieldset #arms {
            legend { "Configurations" }
            button #all type="button" { "All" } " " button #none type="button" { "None" }
        }
    }
}
