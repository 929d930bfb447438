//! Nodes that start together on databases in which there is nothing yet.

use super::Nodes;

/// None of them may fail because another one migrates the same database, and each serves what the others write.
#[tokio::test]
async fn nodes_that_start_at_once_on_empty_databases_all_serve() {
    let name = "nodes_that_start_at_once_on_empty_databases_all_serve";
    let Some(nodes) = Nodes::start(name, 4).await else { return };
    let author = nodes[0].api().person("founder").await;
    for (node, title) in nodes.iter().zip(["One", "Two", "Three", "Four"]) {
        node.api().get("/health/ready").send().await.expect(200);
        node.api().publish(&author, title).await;
    }
    for node in nodes.iter() {
        let answer = node.api().get("/v1/feed").send().await;
        let items = answer.expect(200)["items"].as_array().expect("a feed has items");
        let shown: Vec<_> = items.iter().map(|item| &item["title"]).collect();
        assert_eq!(shown, ["Four", "Three", "Two", "One"], "{answer}");
    }
}
