//! Rust source as the checks see it: without what is in comments and texts, and without what only tests compile.

/// What stands before an item that only tests compile.
pub(crate) const TEST_MARK: &str = "#[cfg(test)]";

/// One file of the repository.
#[derive(Clone)]
pub(crate) struct Source {
    /// Its path from the repository's root, with `/`.
    pub(crate) path: String,
    /// Its content.
    pub(crate) text: String,
}

impl Source {
    /// A file by path and content.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The code, with comments and the content of texts blanked out; lines stay where they are.
    pub(crate) fn code(&self) -> String {
        blank(&self.text)
    }

    /// The code that is not only for tests.
    pub(crate) fn product_code(&self) -> String {
        without_tests(&self.code())
    }

    /// What the modules that this file declares under `#[cfg(test)]` have their paths begin with.
    pub(crate) fn test_modules(&self) -> Vec<String> {
        let code = self.code();
        let stem = self.path.trim_end_matches(".rs");
        let (folder, last) = stem.rsplit_once('/').unwrap_or(("", stem));
        let root = matches!(last, "mod" | "lib" | "main");
        let folder = if root { folder } else { stem };
        let mut found = Vec::new();
        for (at, _) in code.match_indices(TEST_MARK) {
            let item = &code[at..at + item_end(&code[at..])];
            if let (true, Some(at)) = (item.ends_with(';'), words(item, "mod").first()) {
                let module = name(item[at + 3..].trim_start());
                found.extend([".rs", "/"].map(|end| format!("{folder}/{module}{end}")));
            }
        }
        found
    }
}

/// Replaces comments and the content of texts and characters by spaces.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = span_end(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            let hidden = chars[at..end].iter();
            out.extend(hidden.map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// Where the comment, text or character that begins at `at` ends; `at` itself if none begins there.
fn span_end(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    match chars[at] {
        '/' if next == Some('/') => find(chars, at, |rest| rest[0] == '\n').min(chars.len()),
        '/' if next == Some('*') => find(chars, at + 2, |rest| rest.starts_with(&['*', '/'])) + 2,
        '"' => text_end(chars, at),
        'r' if matches!(next, Some('"' | '#')) && !is_word(at.checked_sub(1).map(|i| chars[i])) => {
            raw_text_end(chars, at)
        }
        '\'' => character_end(chars, at),
        _ => at,
    }
    .min(chars.len())
}

fn is_word(c: Option<char>) -> bool {
    // A `b` before `r"` begins a byte text, not a word.
    c.is_some_and(|c| (c.is_alphanumeric() || c == '_') && c != 'b')
}

fn find(chars: &[char], from: usize, wanted: impl Fn(&[char]) -> bool) -> usize {
    let found = (from..chars.len()).find(|&at| wanted(&chars[at..]));
    found.unwrap_or(chars.len())
}

fn text_end(chars: &[char], at: usize) -> usize {
    let mut end = at + 1;
    while end < chars.len() && chars[end] != '"' {
        end += if chars[end] == '\\' { 2 } else { 1 };
    }
    end + 1
}

fn raw_text_end(chars: &[char], at: usize) -> usize {
    let hashes = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
    if chars.get(at + 1 + hashes) != Some(&'"') {
        return at;
    }
    let mut closing = vec!['"'];
    closing.resize(hashes + 1, '#');
    find(chars, at + 2 + hashes, |rest| rest.starts_with(&closing)) + closing.len()
}

/// A character literal, told from a lifetime by its closing quote.
fn character_end(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), Some(_)) => find(chars, at + 3, |rest| rest[0] == '\'') + 1,
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
}

/// Blanks out every item under `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(TEST_MARK) {
        out.push_str(&rest[..at]);
        let end = at + item_end(&rest[at..]);
        out.extend(rest[at..end].chars().filter(|&c| c == '\n'));
        rest = &rest[end..];
    }
    out + rest
}

/// Where the item at the beginning of `code` ends: at its closing brace, or at a semicolon before any brace.
pub(crate) fn item_end(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// The places where `word` stands in `code` as a word of its own.
pub(crate) fn words(code: &str, word: &str) -> Vec<usize> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word)
        .filter(|(at, _)| {
            let before = code[..*at].chars().next_back();
            let after = code[at + word.len()..].chars().next();
            !before.is_some_and(is_name) && !after.is_some_and(is_name)
        })
        .map(|(at, _)| at)
        .collect()
}

/// The line, from 1, of a place in `code`.
pub(crate) fn line(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// The name at the beginning of `code`, empty if there is none.
pub(crate) fn name(code: &str) -> &str {
    let end = code.find(|c: char| !c.is_alphanumeric() && c != '_');
    &code[..end.unwrap_or(code.len())]
}
