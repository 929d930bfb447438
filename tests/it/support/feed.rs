//! Small readings of what the server says: titles, event ids, whole paged lists.

use serde_json::Value;

use super::Api;

/// The event id of one publication.
pub(crate) fn event_id(publication: &Value) -> String {
    let id = publication["data"]["id"].as_str();
    id.unwrap_or_else(|| panic!("a publication has an event id: {publication}")).to_owned()
}

/// The title of the post in one publication.
pub(crate) fn title(publication: &Value) -> String {
    let title = publication["data"]["post"]["title"].as_str();
    title
        .unwrap_or_else(|| panic!("a publication has a post with a title: {publication}"))
        .to_owned()
}

/// The titles of several publications.
pub(crate) fn titles(publications: &[Value]) -> Vec<String> {
    publications.iter().map(title).collect()
}

/// Reads a paged list to its end, page by page.
pub(crate) async fn pages(api: &Api, path: &str, limit: usize) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = None::<String>;
    loop {
        let joint = if path.contains('?') { '&' } else { '?' };
        let from = cursor.map_or(String::new(), |cursor| format!("&cursor={cursor}"));
        let url = format!("{path}{joint}limit={limit}{from}");
        let answer = api.get(&url).send().await;
        let page = answer.expect(200);
        let found = page["items"].as_array();
        let found = found.unwrap_or_else(|| panic!("a list has items: {answer}"));
        assert!(found.len() <= limit, "a page keeps its limit: {answer}");
        items.extend(found.iter().cloned());
        assert!(page.get("next_cursor").is_some(), "a list says how it goes on: {answer}");
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return items,
        }
    }
}
