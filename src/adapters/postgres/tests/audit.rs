//! What an audit reads of the analytics.

use futures_util::FutureExt;

use crate::adapters::contract::audit_analytics::AuditedAnalytics;

use super::*;

async fn fresh() -> AuditedAnalytics {
    let (store, scratch) = analytics().await;
    let options: PgConnectOptions = scratch.url.parse().unwrap();
    let order = move |statement: &'static str| {
        let options = options.clone();
        async move {
            let mut connection = options.connect().await.unwrap();
            connection.execute(statement).await.unwrap();
            connection.close().await.unwrap();
        }
        .boxed()
    };
    AuditedAnalytics {
        analytics: store.clone(),
        projected: store.clone(),
        aggregates: store,
        order: Box::new(order),
        keep: Box::new(scratch),
    }
}

crate::adapters::contract::audit_analytics::audit_analytics_contract!(fresh);
