//! The page that says what an export holds, for people. Pure.

/// What there was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub statements: u64,
    pub mentions: u64,
    pub attempts: u64,
    pub completions: u64,
    pub scores: u64,
    pub documents: u64,
    pub attachments: u64,
    /// Attachments that statements name and whose bytes are not here.
    pub missing: u64,
}

/// A page of HTML that runs nothing and loads nothing.
pub fn page(user: &str, counts: &Counts, mentions: bool) -> String {
    let Counts { statements, attempts, completions, scores, documents, attachments, missing, .. } = counts;
    let mut rows = vec![
        ("statements.ndjson", *statements, "what was recorded about you, the newest first, as xAPI statements"),
        ("attempts.ndjson", *attempts, "your attempts at courses"),
        ("completions.ndjson", *completions, "courses that you completed"),
        ("scores.ndjson", *scores, "your scores"),
        ("documents.ndjson", *documents, "your profile, and what courses kept for you; contents in Base64"),
        ("attachments/", *attachments, "files that came with your statements, by the hash that these name"),
    ];
    if mentions {
        rows.insert(1, ("mentions.ndjson", counts.mentions, "what was recorded about others that names you"));
    }
    let rows: String = rows
        .iter()
        .map(|(file, count, about)| format!("<tr><td>{file}</td><td>{count}</td><td>{about}</td></tr>\n"))
        .collect();
    let missing = match missing {
        0 => String::new(),
        count => format!("<p>{count} files that your statements name are not kept here.</p>\n"),
    };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Your data</title>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <style>body{{font:1rem sans-serif;margin:2rem}}td{{padding:.3rem 1rem .3rem 0}}</style></head>\n\
         <body><h1>Your data</h1>\n<p>Everything that is kept about the user {}.</p>\n\
         <table>\n{rows}</table>\n{missing}\
         <p>A file of the kind ndjson has one record of JSON on each line; every text editor opens it.</p></body></html>\n",
        escaped(user)
    )
}

fn escaped(text: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_runs_nothing() {
        let page =
            page("<script>alert('&')</script>", &Counts { statements: 7, missing: 1, ..Counts::default() }, false);
        assert!(
            page.contains("&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;") && !page.contains("<script"),
            "{page}"
        );
        assert!(page.contains("<td>7</td>") && page.contains("1 files that") && !page.contains("mentions"), "{page}");
    }
}
