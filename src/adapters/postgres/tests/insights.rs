//! The tables that wait for the learning analytics, and their view.

use super::*;

const SESSIONS: &str = "
    INSERT INTO user_analytics (user_id, total_points, engagement_score, last_activity)
    VALUES (1, 70, 12.5, '2026-11-18T23:00:00Z'), (2, 0, 0, NULL);
    INSERT INTO learning_sessions (session_id, user_id, content_type, content_id, duration_minutes,
                                   completion_percentage, technologies, session_start)
    VALUES (gen_random_uuid(), 1, 'article', 'a', 10, 100, '{rust,sql,redis}', '2026-11-17T10:00:00Z'),
           (gen_random_uuid(), 1, 'video', 'b', 30, 50, '{rust}', '2026-11-18T10:00:00Z'),
           (gen_random_uuid(), 1, 'tutorial', 'c', 20, 0, '{}', '2026-11-18T22:00:00Z');";

type Insights = (i64, i32, String, i64, String, String, Vec<String>, Option<String>);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_counts_once_however_many_technologies_it_has() {
    let name = "postgres::a_session_counts_once_however_many_technologies_it_has";
    unless_skipped(name, async {
        let (_analytics, scratch) = analytics().await;
        let mut connection = scratch.connect().await;
        connection.execute(SESSIONS).await.unwrap();
        let insights: Vec<Insights> = sqlx::query_as(
            "SELECT user_id, total_points, engagement_score::text, total_sessions,
                    average_duration_minutes::text, average_completion::text, technologies,
                    (week_of_last_activity AT TIME ZONE 'UTC')::date::text
             FROM user_learning_insights ORDER BY user_id",
        )
        .fetch_all(&mut connection)
        .await
        .unwrap();
        let all = ["redis", "rust", "sql"].map(str::to_owned).to_vec();
        let week = Some("2026-11-16".to_owned());
        assert_eq!(
            insights,
            [
                (1, 70, "12.50".into(), 3, "20.00".into(), "50.00".into(), all, week),
                (2, 0, "0.00".into(), 0, "0".into(), "0".into(), vec![], None),
            ]
        );
    })
    .await;
}
