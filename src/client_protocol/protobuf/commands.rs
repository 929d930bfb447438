//! Reading commands. The numbers of the fields are those of `definitions/client.proto` of centrifugal/protocol.

use super::{Malformed, Value, read_fields};
use crate::client_protocol::command::{
    ChannelRequest, Command, ConnectRequest, HistoryRequest, InvalidCommand, PublishRequest,
    RefreshRequest, Request, RpcRequest, SincePosition, SubRefreshRequest, SubscribeRequest,
};
use crate::domain::publication::Json;

/// Reads one message of a frame, without its length.
pub fn decode_command(message: &[u8]) -> Result<Command, InvalidCommand> {
    let mut id = 0;
    let mut first: Option<(u64, Value<'_>)> = None;
    let read = read_fields(message, |field, value| {
        match field {
            1 => id = value.number()? as u32,
            // Of several requests, the first in the order of the definition counts.
            4..=15 if first.is_none_or(|(earlier, _)| field <= earlier) => {
                first = Some((field, value))
            }
            _ => {}
        }
        Ok(())
    });
    let malformed = match id {
        0 => InvalidCommand::Unanswerable,
        id => InvalidCommand::Malformed(id),
    };
    read.map_err(|Malformed| malformed)?;
    let request = match first {
        Some((field, value)) => request(field, value).map_err(|Malformed| malformed)?,
        None if message.is_empty() => Request::Pong,
        None => return Err(malformed),
    };
    match request {
        Request::Pong | Request::Send => Ok(Command { id, request }),
        _ if id > 0 => Ok(Command { id, request }),
        _ => Err(malformed),
    }
}

fn request(field: u64, value: Value<'_>) -> Result<Request, Malformed> {
    let bytes = value.bytes()?;
    Ok(match field {
        4 => Request::Connect(connect(bytes)?),
        5 => Request::Subscribe(subscribe(bytes)?),
        6 => Request::Unsubscribe(channel(bytes)?),
        7 => Request::Publish(publish(bytes)?),
        8 => Request::Presence(channel(bytes)?),
        9 => Request::PresenceStats(channel(bytes)?),
        10 => Request::History(history(bytes)?),
        11 => Request::Ping,
        12 => Request::Send,
        13 => Request::Rpc(rpc(bytes)?),
        14 => Request::Refresh(refresh(bytes)?),
        _ => Request::SubRefresh(sub_refresh(bytes)?),
    })
}

fn connect(bytes: &[u8]) -> Result<ConnectRequest, Malformed> {
    let mut request = ConnectRequest::default();
    read_fields(bytes, |field, value| {
        match field {
            1 => request.token = value.text()?,
            3 => {
                let (channel, subscribe) = entry(value.bytes()?)?;
                request.subs.insert(channel, subscribe);
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(request)
}

fn entry(bytes: &[u8]) -> Result<(String, SubscribeRequest), Malformed> {
    let (mut key, mut request) = (String::new(), SubscribeRequest::default());
    read_fields(bytes, |field, value| {
        match field {
            1 => key = value.text()?,
            2 => request = subscribe(value.bytes()?)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((key, request))
}

fn subscribe(bytes: &[u8]) -> Result<SubscribeRequest, Malformed> {
    let mut request = SubscribeRequest::default();
    read_fields(bytes, |field, value| {
        match field {
            1 => request.channel = value.text()?,
            2 => request.token = value.text()?,
            3 => request.recover = value.flag()?,
            6 => request.epoch = value.text()?,
            7 => request.offset = value.number()?,
            9 => request.positioned = value.flag()?,
            10 => request.recoverable = value.flag()?,
            11 => request.join_leave = value.flag()?,
            12 => request.delta = value.text()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(request)
}

fn channel(bytes: &[u8]) -> Result<ChannelRequest, Malformed> {
    let mut request = ChannelRequest::default();
    read_fields(bytes, |field, value| {
        if field == 1 {
            request.channel = value.text()?;
        }
        Ok(())
    })?;
    Ok(request)
}

fn publish(bytes: &[u8]) -> Result<PublishRequest, Malformed> {
    let (mut channel, mut data) = (String::new(), None);
    read_fields(bytes, |field, value| {
        match field {
            1 => channel = value.text()?,
            2 => data = Some(json(value)?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(PublishRequest { channel, data: data.ok_or(Malformed)? })
}

fn history(bytes: &[u8]) -> Result<HistoryRequest, Malformed> {
    let mut request = HistoryRequest::default();
    read_fields(bytes, |field, value| {
        match field {
            1 => request.channel = value.text()?,
            // A negative number is written as the two's complement of its 64 bits.
            7 => request.limit = value.number()? as i32,
            8 => request.since = Some(since(value.bytes()?)?),
            9 => request.reverse = value.flag()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(request)
}

fn since(bytes: &[u8]) -> Result<SincePosition, Malformed> {
    let mut position = SincePosition::default();
    read_fields(bytes, |field, value| {
        match field {
            1 => position.offset = value.number()?,
            2 => position.epoch = value.text()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(position)
}

fn rpc(bytes: &[u8]) -> Result<RpcRequest, Malformed> {
    let (mut method, mut data) = (String::new(), None);
    read_fields(bytes, |field, value| {
        match field {
            1 => data = Some(json(value)?),
            2 => method = value.text()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(RpcRequest { method, data })
}

fn refresh(bytes: &[u8]) -> Result<RefreshRequest, Malformed> {
    let mut request = RefreshRequest::default();
    read_fields(bytes, |field, value| {
        if field == 1 {
            request.token = value.text()?;
        }
        Ok(())
    })?;
    Ok(request)
}

fn sub_refresh(bytes: &[u8]) -> Result<SubRefreshRequest, Malformed> {
    let mut request = SubRefreshRequest::default();
    read_fields(bytes, |field, value| {
        match field {
            1 => request.channel = value.text()?,
            2 => request.token = value.text()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(request)
}

fn json(value: Value<'_>) -> Result<Json, Malformed> {
    Json::from_string(value.text()?).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use super::super::Message;
    use super::*;

    fn command(id: u32, field: u64, write: impl FnOnce(&mut Message)) -> Vec<u8> {
        let mut command = Message::default();
        command.number(1, id);
        command.message(field, write);
        command.0
    }

    #[test]
    fn commands_are_read_and_the_rest_is_blamed() {
        let bytes = command(3, 5, |it| {
            it.text(1, "feed:all");
            it.number(3, true);
            it.text(6, "x");
            it.number(7, 7_u64);
            it.text(99, "of a later version");
        });
        let Ok(Command { id: 3, request: Request::Subscribe(subscribe) }) = decode_command(&bytes)
        else {
            panic!("{bytes:?}");
        };
        assert_eq!(
            (subscribe.channel.as_str(), subscribe.offset, subscribe.recover),
            ("feed:all", 7, true)
        );
        let bytes = command(4, 10, |it| it.number(7, -1_i64 as u64));
        let Ok(Command { request: Request::History(history), .. }) = decode_command(&bytes) else {
            panic!("{bytes:?}");
        };
        assert_eq!(history.limit, -1);
        assert!(matches!(decode_command(b"").unwrap().request, Request::Pong));
        let invalid = |bytes: &[u8]| decode_command(bytes).unwrap_err();
        assert_eq!(invalid(b"hello"), InvalidCommand::Unanswerable);
        assert_eq!(invalid(&command(0, 5, |_| ())), InvalidCommand::Unanswerable);
        assert_eq!(invalid(&command(9, 77, |_| ())), InvalidCommand::Malformed(9));
        let no_json = |it: &mut Message| it.text(2, "{");
        assert_eq!(invalid(&command(9, 7, no_json)), InvalidCommand::Malformed(9));
        assert_eq!(invalid(&command(9, 7, |_| ())), InvalidCommand::Malformed(9));
    }

    #[test]
    fn the_subscriptions_of_a_connect_command_are_read() {
        let bytes = command(1, 4, |it| {
            it.text(1, "cst_1");
            it.entry(3, "notifications:#42", |entry| {
                entry.message(2, |it| it.number(7, 12_u64));
            });
        });
        let Ok(Command { request: Request::Connect(connect), .. }) = decode_command(&bytes) else {
            panic!("{bytes:?}");
        };
        assert_eq!(connect.token, "cst_1");
        assert_eq!(connect.subs["notifications:#42"].offset, 12);
    }
}
