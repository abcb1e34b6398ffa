//! Rust text taken apart into code and comments, so that a rule about one is not misled by the other.

/// Both parts have the lines and columns of the source; whatever is not in a part is blank there.
pub(super) struct RustSource {
    /// Without comments, and without what stands between quotes.
    pub(super) code: String,
    /// Comments with their slashes, and nothing else.
    pub(super) comments: String,
}

impl RustSource {
    pub(super) fn parse(text: &str) -> Self {
        let mut splitter = Splitter { rest: text, code: String::new(), comments: String::new() };
        splitter.split();
        Self { code: splitter.code, comments: splitter.comments }
    }
}

struct Splitter<'a> {
    rest: &'a str,
    code: String,
    comments: String,
}

#[derive(Clone, Copy)]
enum Part {
    Code,
    Comment,
    Quoted,
}

impl Splitter<'_> {
    fn split(&mut self) {
        while let Some(first) = self.rest.chars().next() {
            if self.rest.starts_with("//") {
                self.take(Part::Comment, self.rest.find('\n').unwrap_or(self.rest.len()));
            } else if self.rest.starts_with("/*") {
                self.take(Part::Comment, block_comment_length(self.rest));
            } else if let Some(length) = self.raw_string_length() {
                self.take(Part::Quoted, length);
            } else if first == '"' {
                self.take(Part::Quoted, quoted_length(self.rest, '"'));
            } else if first == '\'' && is_character_literal(self.rest) {
                self.take(Part::Quoted, quoted_length(self.rest, '\''));
            } else {
                self.take(Part::Code, first.len_utf8());
            }
        }
    }

    /// Moves the next `length` bytes to one part, and blanks to the other.
    fn take(&mut self, part: Part, length: usize) {
        let (taken, rest) = self.rest.split_at(length);
        for character in taken.chars() {
            let blank = if character == '\n' { '\n' } else { ' ' };
            let (code, comment) = match part {
                Part::Code => (character, blank),
                Part::Comment => (blank, character),
                Part::Quoted => (blank, blank),
            };
            self.code.push(code);
            self.comments.push(comment);
        }
        self.rest = rest;
    }

    /// The length of `r"…"` or `r#"…"#` when one begins here.
    fn raw_string_length(&self) -> Option<usize> {
        let after_r = self.rest.strip_prefix('r')?;
        // A name may end in r; only the prefixes of byte and C strings may stand before it.
        let mut before = self.code.chars().rev();
        let previous = match before.next() {
            Some('b' | 'c') => before.next(),
            other => other,
        };
        if previous.is_some_and(|previous| previous.is_alphanumeric() || previous == '_') {
            return None;
        }
        let hashes = after_r.len() - after_r.trim_start_matches('#').len();
        let content = after_r[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let length = content.find(&end).map_or(content.len(), |found| found + end.len());
        Some(1 + hashes + 1 + length)
    }
}

fn block_comment_length(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut position = 0;
    while position < text.len() {
        let rest = &text[position..];
        if rest.starts_with("/*") {
            depth += 1;
            position += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            position += 2;
            if depth == 0 {
                return position;
            }
        } else {
            position += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// From an opening quote to the end of the literal, escapes skipped.
fn quoted_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (position, character) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == quote {
            return position + quote.len_utf8();
        }
    }
    text.len()
}

/// Tells `'a'` from the lifetime `'a`.
fn is_character_literal(text: &str) -> bool {
    let mut characters = text.chars().skip(1);
    match characters.next() {
        Some('\\') => true,
        Some(_) => characters.next() == Some('\''),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::RustSource;

    fn parts(text: &str) -> (String, String) {
        let source = RustSource::parse(text);
        assert_eq!(source.code.lines().count(), text.lines().count());
        let squeeze = |part: &str| part.split_whitespace().collect::<Vec<_>>().join(" ");
        (squeeze(&source.code), squeeze(&source.comments))
    }

    #[test]
    fn code_and_comments_come_apart() {
        let (code, comments) = parts("/// Docs.\nlet one = 1; // why\n/* a /* nested */ b */ two();\n");
        assert_eq!(code, "let one = 1; two();");
        assert_eq!(comments, "/// Docs. // why /* a /* nested */ b */");
    }

    #[test]
    fn what_is_quoted_is_in_neither_part() {
        let (code, comments) = parts(r##"f("a // b\" c", r#"d " // e"#, br"f", '"', '\'', b'/') // g"##);
        assert_eq!(code, "f( , , b , , , b )");
        assert_eq!(comments, "// g");
    }

    #[test]
    fn a_lifetime_opens_no_literal() {
        let (code, _) = parts("fn f<'a>(text: &'a str) -> &'a str { \"x\" } // 'a");
        assert_eq!(code, "fn f<'a>(text: &'a str) -> &'a str { }");
    }

    #[test]
    fn a_name_that_ends_in_r_opens_no_raw_string() {
        assert_eq!(parts("for\"a\"").0, "for");
        assert_eq!(parts("r#type = 1; // x").0, "r#type = 1;");
    }

    #[test]
    fn an_open_end_ends_with_the_file() {
        for text in ["\"abc", "r#\"abc", "/* abc", "'", "// é"] {
            assert_eq!(RustSource::parse(text).code.trim(), if text == "'" { "'" } else { "" });
        }
    }
}
