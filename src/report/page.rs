//! The page as one file.

use super::data::{data, for_script};
use super::html::escape;
use super::{Report, sections};

/// plotly.js, from the crate that carries it; what follows it there sets formulas, of which there
/// are none here.
fn plotly() -> String {
    let sources = plotly::Plot::offline_js_sources();
    let end = sources.find("</script>").unwrap_or(sources.len());
    format!("{}</script>", &sources[..end])
}

/// One HTML file that needs no other and no network.
pub fn html(report: &Report) -> String {
    let name = escape(&report.name);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>{name} — fathom</title>\n<style>{css}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#claims\">Skip to the claims</a>\n\
         <header>{head}<button type=\"button\" id=\"theme\">Dark or light</button></header>\n<main>\n\
         <section id=\"claims\"><h2>Claims</h2>\n{verdicts}</section>\n\
         <section><h2>Curves</h2>\n{controls}\
         <div id=\"curves\" role=\"img\" aria-label=\"Curves of the chosen metric by step\"></div>\n\
         <p id=\"said\" role=\"status\"></p></section>\n\
         <section><h2>Final value against depth</h2>\n\
         <div id=\"depth\" role=\"img\" aria-label=\"Final value of the chosen metric against depth; \
         the numbers are in the table below\"></div></section>\n\
         <section><h2>Final values</h2>\n{finals}</section>\n\
         <section><h2>Runs</h2>\n{runs}</section>\n\
         <section><h2>How they were made</h2>\n{made}</section>\n</main>\n\
         <script type=\"application/json\" id=\"data\">{data}</script>\n{plotly}\n\
         <script>{js}</script>\n</body>\n</html>\n",
        css = include_str!("page.css"),
        js = include_str!("page.js"),
        head = sections::head(report),
        verdicts = sections::verdicts(&report.verdicts),
        controls = include_str!("controls.html"),
        finals = sections::finals(report),
        runs = sections::runs(report),
        made = sections::made(report),
        data = for_script(&data(report)),
        plotly = plotly(),
    )
}
