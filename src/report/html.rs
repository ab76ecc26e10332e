//! Text for HTML.

/// Text as HTML shows it literally, in elements and in quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// A table whose columns sort when their headers are pressed. Cells are text; numbers among them
/// are set to the right.
pub(super) fn table(caption: &str, headers: &[String], rows: &[Vec<String>]) -> String {
    let mut out =
        format!("<div class=\"wide\"><table><caption>{}</caption><thead><tr>", escape(caption));
    for header in headers {
        let header = escape(header);
        out += &format!("<th scope=\"col\"><button type=\"button\">{header}</button></th>");
    }
    out += "</tr></thead><tbody>";
    for row in rows {
        out += "<tr>";
        for cell in row {
            let first = cell.trim_start_matches(['-', '−']).chars().next();
            let class =
                if first.is_some_and(|c| c.is_ascii_digit()) { " class=\"number\"" } else { "" };
            out += &format!("<td{class}>{}</td>", escape(cell));
        }
        out += "</tr>";
    }
    out + "</tbody></table></div>\n"
}
