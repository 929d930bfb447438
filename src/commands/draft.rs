//! What an author writes: checked, and what follows from it.

use super::validation::Faults;
use crate::domain::ids::PostId;
use crate::domain::post::{Difficulty, PostStatus};
use crate::domain::problem::Problem;
use crate::domain::publication::Json;

const TITLE_MAX: usize = 200;
const CONTENT_MAX: usize = 200_000;
const EXCERPT_MAX: usize = 280;
const TAGS_MAX: usize = 10;
const LABEL_MAX: usize = 50;
const WORDS_PER_MINUTE: usize = 200;
const SLUG_MAX: usize = 80;

/// What an author sends, as it came.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// The heading.
    pub title: String,
    /// Markdown.
    pub content: String,
    /// Any case, may repeat.
    pub tags: Vec<String>,
    /// May repeat.
    pub categories: Vec<String>,
    /// For whom it is written.
    pub difficulty: Option<Difficulty>,
    /// Where it begins its life.
    pub status: PostStatus,
    /// Any JSON object.
    pub metadata: Option<Json>,
}

impl Draft {
    /// The draft with its labels made distinct, or everything that is wrong with it.
    pub fn validated(mut self) -> Result<Self, Problem> {
        let mut faults = Faults::default();
        self.title = self.title.trim().to_owned();
        faults.check_length("title", &self.title, 1, TITLE_MAX);
        let blank = self.content.trim().is_empty();
        faults.check_length("content", if blank { "" } else { &self.content }, 1, CONTENT_MAX);
        self.tags = distinct(self.tags.iter().map(|tag| tag.trim().to_lowercase()));
        check_labels(&mut faults, "tags", &self.tags);
        self.categories =
            distinct(self.categories.iter().map(|category| category.trim().to_owned()));
        check_labels(&mut faults, "categories", &self.categories);
        if self
            .metadata
            .as_ref()
            .is_some_and(|metadata| !metadata.get().trim_start().starts_with('{'))
        {
            faults.add("metadata", "not_an_object", "Must be a JSON object.");
        }
        faults.into_result().map(|()| self)
    }

    /// The beginning of the content.
    pub fn excerpt(&self) -> String {
        excerpt_of(&self.content)
    }

    /// Minutes that reading takes.
    pub fn reading_minutes(&self) -> u32 {
        let words = self.content.split_whitespace().count();
        u32::try_from(words.div_ceil(WORDS_PER_MINUTE).max(1)).unwrap_or(u32::MAX)
    }

    /// The name in addresses that follows from the title, or else from the id.
    pub fn slug(&self, id: PostId) -> String {
        slug_of(&self.title, id)
    }
}

fn distinct(labels: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = Vec::new();
    for label in labels {
        if !seen.contains(&label) {
            seen.push(label);
        }
    }
    seen
}

fn check_labels(faults: &mut Faults, field: &'static str, labels: &[String]) {
    if labels.len() > TAGS_MAX {
        faults.add(field, "too_many", format!("At most {TAGS_MAX} are permitted."));
    }
    let valid = |label: &String| {
        let length = label.chars().count();
        // They become parts of channel names.
        (1..=LABEL_MAX).contains(&length)
            && !label.contains(|c: char| c == '{' || c == '}' || c.is_control())
    };
    if !labels.iter().all(valid) {
        let detail =
            format!("Each has 1 to {LABEL_MAX} characters, without braces and control characters.");
        faults.add(field, "invalid_label", detail);
    }
}

fn slug_of(title: &str, id: PostId) -> String {
    let slug: String = slug::slugify(title).chars().take(SLUG_MAX).collect();
    match slug.trim_end_matches('-') {
        "" => id.to_string(),
        slug => slug.to_owned(),
    }
}

/// The first characters of the content, cut at a space where there is one.
fn excerpt_of(content: &str) -> String {
    let flat: String = content.split_whitespace().collect::<Vec<_>>().join(" ");
    if flat.chars().count() <= EXCERPT_MAX {
        return flat;
    }
    let cut: String = flat.chars().take(EXCERPT_MAX - 1).collect();
    let end = cut.rfind(' ').filter(|end| *end > cut.len() / 2).unwrap_or(cut.len());
    format!("{}…", &cut[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    #[test]
    fn long_contents_are_cut_at_a_word_for_the_excerpt() {
        assert_eq!(excerpt_of("one\n\ntwo  three"), "one two three");
        let long = "word ".repeat(100);
        let excerpt = excerpt_of(&long);
        assert!(excerpt.chars().count() <= EXCERPT_MAX);
        assert!(excerpt.ends_with("word…"), "{excerpt}");
        assert_eq!(excerpt_of(&"é".repeat(500)).chars().count(), EXCERPT_MAX);
    }

    #[test]
    fn slugs_follow_the_title_or_else_the_id() {
        let id = PostId::from_parts(Timestamp::from_millis(0), 1, [1; 3]);
        assert_eq!(slug_of("Hello, Wörld!", id), "hello-world");
        assert_eq!(slug_of("!!!", id), id.to_string());
    }

    #[test]
    fn labels_are_trimmed_made_distinct_and_checked() {
        let draft = Draft {
            title: " T ".into(),
            content: "c".into(),
            tags: vec!["Rust".into(), " rust".into(), "c++".into()],
            ..Draft::default()
        };
        assert_eq!(draft.validated().unwrap().tags, ["rust", "c++"]);
        let bad = Draft { tags: vec!["a{b".into()], content: " ".into(), ..Draft::default() };
        let problem = bad.validated().unwrap_err();
        let codes: Vec<_> = problem.errors.iter().map(|e| (e.field.as_ref(), e.code)).collect();
        assert_eq!(
            codes,
            [("title", "required"), ("content", "required"), ("tags", "invalid_label")]
        );
    }
}
