//! Writing replies and pushes. The numbers of the fields are those of `definitions/client.proto` of centrifugal/protocol.

use super::Message;
use crate::client_protocol::codes::{ClientError, Disconnect, Unsubscribed};
use crate::client_protocol::reply::{
    ConnectResult, HistoryResult, Moved, PresenceResult, PresenceStatsResult, Push, PushBody,
    RefreshPush, RefreshResult, Reply, ReplyBody, SubRefreshResult, SubscribePush, SubscribeResult,
    WirePublication,
};
use crate::domain::publication::{ClientInfo, Json};

/// A reply, behind its length.
pub fn encode_reply(reply: &Reply<'_>) -> Vec<u8> {
    let mut message = Message::default();
    message.number(1, reply.id);
    match &reply.body {
        ReplyBody::Error(it) => message.message(2, |to| write_error(to, it)),
        ReplyBody::Connect(it) => message.message(5, |to| write_connect(to, it)),
        ReplyBody::Subscribe(it) => message.message(6, |to| write_subscribe(to, it)),
        ReplyBody::Unsubscribe(_) => message.message(7, |_| ()),
        ReplyBody::Publish(_) => message.message(8, |_| ()),
        ReplyBody::Presence(it) => message.message(9, |to| write_presence(to, it)),
        ReplyBody::PresenceStats(it) => message.message(10, |to| write_stats(to, it)),
        ReplyBody::History(it) => message.message(11, |to| write_history(to, it)),
        ReplyBody::Ping(_) => message.message(12, |_| ()),
        ReplyBody::Rpc(it) => message.message(13, |to| write_json(to, 1, Some(&it.data))),
        ReplyBody::Refresh(it) => message.message(14, |to| write_refresh(to, it)),
        ReplyBody::SubRefresh(it) => message.message(15, |to| write_sub_refresh(to, it)),
    }
    message.framed()
}

/// A push within a reply, behind its length.
pub fn encode_push(push: &Push<'_>) -> Vec<u8> {
    let mut message = Message::default();
    message.message(4, |to| {
        to.text(2, push.channel);
        match &push.body {
            PushBody::Pub(it) => to.message(4, |to| write_publication(to, it)),
            PushBody::Join(it) => to.message(5, |to| write_moved(to, it)),
            PushBody::Leave(it) => to.message(6, |to| write_moved(to, it)),
            PushBody::Unsubscribe(it) => to.message(7, |to| write_unsubscribed(to, it)),
            PushBody::Message(it) => to.message(8, |to| write_json(to, 1, Some(it.data))),
            PushBody::Subscribe(it) => to.message(9, |to| write_subscribed(to, it)),
            PushBody::Disconnect(it) => to.message(11, |to| write_disconnect(to, it)),
            PushBody::Refresh(it) => to.message(12, |to| write_refreshed(to, it)),
        }
    });
    message.framed()
}

fn write_error(to: &mut Message, error: &ClientError) {
    to.number(1, error.code);
    to.text(2, error.message);
    to.number(3, error.temporary);
}

fn write_connect(to: &mut Message, result: &ConnectResult<'_>) {
    to.text(1, &result.client);
    to.text(2, result.version);
    to.number(3, result.expires);
    to.number(4, result.ttl);
    if let Some(data) = &result.data {
        let json = Json::from_value(data).expect("an inbox holds nothing that JSON cannot say");
        write_json(to, 5, Some(&json));
    }
    for (channel, sub) in &result.subs {
        to.entry(6, channel, |to| to.message(2, |to| write_subscribe(to, sub)));
    }
    to.number(7, result.ping);
    to.number(8, result.pong);
    to.text(9, &result.session);
    to.text(10, &result.node);
}

fn write_subscribe(to: &mut Message, result: &SubscribeResult<'_>) {
    to.number(1, result.expires);
    to.number(2, result.ttl);
    to.number(3, result.recoverable);
    if let Some(epoch) = &result.epoch {
        to.text(6, epoch.as_str());
    }
    write_publications(to, 7, &result.publications);
    to.number(8, result.recovered);
    to.number(9, result.offset);
    to.number(10, result.positioned);
    write_json(to, 11, result.data);
    to.number(12, result.was_recovering);
    to.number(13, result.delta);
}

fn write_publications(to: &mut Message, field: u64, publications: &[WirePublication<'_>]) {
    for publication in publications {
        to.message(field, |to| write_publication(to, publication));
    }
}

fn write_publication(to: &mut Message, publication: &WirePublication<'_>) {
    to.text(4, publication.data.as_str());
    if let Some(info) = publication.info {
        to.message(5, |to| write_info(to, info));
    }
    to.number(6, publication.offset);
    for (key, value) in publication.tags {
        to.entry(7, key, |to| to.text(2, value));
    }
    to.number(8, publication.delta);
}

fn write_info(to: &mut Message, info: &ClientInfo) {
    to.text(1, &info.user);
    to.text(2, &info.client);
    write_json(to, 3, info.conn_info.as_deref());
    write_json(to, 4, info.chan_info.as_deref());
}

fn write_presence(to: &mut Message, result: &PresenceResult) {
    for (client, info) in &result.presence {
        to.entry(1, client, |to| to.message(2, |to| write_info(to, info)));
    }
}

fn write_stats(to: &mut Message, result: &PresenceStatsResult) {
    to.number(1, result.num_clients);
    to.number(2, result.num_users);
}

fn write_history(to: &mut Message, result: &HistoryResult<'_>) {
    write_publications(to, 1, &result.publications);
    to.text(2, result.epoch.as_str());
    to.number(3, result.offset);
}

fn write_refresh(to: &mut Message, result: &RefreshResult) {
    to.text(1, &result.client);
    to.text(2, result.version);
    to.number(3, result.expires);
    to.number(4, result.ttl);
}

fn write_sub_refresh(to: &mut Message, result: &SubRefreshResult) {
    to.number(1, result.expires);
    to.number(2, result.ttl);
}

fn write_unsubscribed(to: &mut Message, why: &Unsubscribed) {
    to.number(2, why.code);
    to.text(3, why.reason);
}

fn write_subscribed(to: &mut Message, push: &SubscribePush<'_>) {
    to.number(1, push.recoverable);
    if let Some(epoch) = &push.epoch {
        to.text(4, epoch.as_str());
    }
    to.number(5, push.offset);
    to.number(6, push.positioned);
    write_json(to, 7, push.data);
}

fn write_disconnect(to: &mut Message, why: &Disconnect) {
    to.number(1, why.code);
    to.text(2, &why.reason);
}

fn write_moved(to: &mut Message, moved: &Moved<'_>) {
    to.message(1, |to| write_info(to, moved.info));
}

fn write_refreshed(to: &mut Message, push: &RefreshPush) {
    to.number(1, push.expires);
    to.number(2, push.ttl);
}

fn write_json(to: &mut Message, field: u64, json: Option<&Json>) {
    if let Some(json) = json {
        to.bytes(field, json.get().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::client_protocol::reply::MessagePush;
    use crate::domain::channel::ChannelName;
    use crate::domain::publication::{Publication, PublicationBody};

    #[test]
    fn replies_and_pushes_leave_out_what_is_empty() {
        let body = ReplyBody::Error(ClientError::UNKNOWN_CHANNEL);
        let reply = encode_reply(&Reply { id: 4, body });
        assert_eq!(reply, b"\x17\x08\x04\x12\x13\x08\x66\x12\x0funknown channel");
        let body = ReplyBody::Subscribe(SubscribeResult::default());
        assert_eq!(encode_reply(&Reply { id: 4, body }), b"\x04\x08\x04\x32\x00");

        let body = PublicationBody {
            data: Json::from_string("1".into()).unwrap(),
            info: None,
            tags: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            delta: false,
        };
        let publication = Publication { offset: 5, event: None, body: Arc::new(body) };
        let channel = ChannelName::feed();
        let push = Push { channel: channel.as_str(), body: PushBody::Pub((&publication).into()) };
        let expected =
            b"\x1b\x22\x19\x12\x08feed:all\x22\x0d\x22\x011\x30\x05\x3a\x06\x0a\x01a\x12\x01b";
        assert_eq!(encode_push(&push), expected);

        let data = Json::from_string("[1]".into()).unwrap();
        let push = Push { channel: "", body: PushBody::Message(MessagePush { data: &data }) };
        assert_eq!(encode_push(&push), b"\x09\x22\x07\x42\x05\x0a\x03[1]");
    }
}
