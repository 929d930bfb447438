//! What a client may do in a channel.

use std::sync::Arc;

use crate::domain::channel::ChannelName;
use crate::domain::namespace::{ChannelOptions, Namespaces};

/// What a client wants to do in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Join it.
    Subscribe,
    /// Publish to it.
    Publish,
    /// Read its history.
    ReadHistory,
    /// Ask who is there.
    ReadPresence,
    /// Be told who joins and leaves.
    HearPassages,
}

/// Why a client may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The namespace is not configured.
    UnknownChannel,
    /// The options do not allow it to this client.
    NotPermitted,
    /// The channel does not offer it to anyone.
    NotAvailable,
}

/// Decides by the options of the namespaces.
pub struct Permissions {
    /// All namespaces of the node.
    pub namespaces: Arc<Namespaces>,
    /// Development: everything is allowed but to speak for the log and to read another's inbox.
    pub insecure: bool,
}

impl Permissions {
    /// Whether `user` (as text; `None` for an anonymous client) may act in `channel`;
    /// `subscribed` says whether the connection is a subscriber.
    pub fn check(
        &self,
        user: Option<&str>,
        channel: &ChannelName,
        action: Action,
        subscribed: bool,
    ) -> Result<&ChannelOptions, Denied> {
        let options = self.namespaces.options(channel).ok_or(Denied::UnknownChannel)?;
        let offered = match action {
            Action::ReadHistory => options.keeps_history(),
            Action::ReadPresence => options.presence,
            Action::HearPassages => options.join_leave,
            Action::Subscribe | Action::Publish => true,
        };
        if !offered {
            return Err(Denied::NotAvailable);
        }
        let allowed = match action {
            Action::Publish if options.built_in => false,
            _ if is_for_others(options, channel, user) => false,
            _ if self.insecure => true,
            Action::Subscribe => may_subscribe(options, channel, user),
            Action::Publish => {
                let (client, anonymous) =
                    (options.allow_publish_for_client, options.allow_publish_for_anonymous);
                (subscribed && options.allow_publish_for_subscriber) || may(user, client, anonymous)
            }
            Action::ReadHistory => {
                let (client, anonymous) =
                    (options.allow_history_for_client, options.allow_history_for_anonymous);
                (subscribed && options.allow_history_for_subscriber) || may(user, client, anonymous)
            }
            Action::ReadPresence | Action::HearPassages => {
                let (client, anonymous) =
                    (options.allow_presence_for_client, options.allow_presence_for_anonymous);
                (subscribed && options.allow_presence_for_subscriber)
                    || may(user, client, anonymous)
            }
        };
        if allowed { Ok(options) } else { Err(Denied::NotPermitted) }
    }
}

fn may(user: Option<&str>, clients: bool, anonymous: bool) -> bool {
    if user.is_some() { clients } else { anonymous }
}

fn may_subscribe(options: &ChannelOptions, channel: &ChannelName, user: Option<&str>) -> bool {
    if channel.is_private() {
        // Only a subscription token opens these.
        return false;
    }
    let named = options.allow_user_limited_channels && channel.allowed_users().is_some();
    named || may(user, options.allow_subscribe_for_client, options.allow_subscribe_for_anonymous)
}

/// Whether the channel's name limits it to users of whom `user` is none. In a
/// namespace without such channels nobody may use the boundary, except where
/// the name is the product's own and a `#` is only a character of a tag.
fn is_for_others(options: &ChannelOptions, channel: &ChannelName, user: Option<&str>) -> bool {
    let Some(mut allowed) = channel.allowed_users() else {
        return false;
    };
    if !options.allow_user_limited_channels {
        return !options.built_in;
    }
    !allowed.any(|name| Some(name) == user)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permissions(options: ChannelOptions, insecure: bool) -> Permissions {
        let namespaces = Namespaces::new([("chat".to_owned(), options)], None);
        Permissions { namespaces: Arc::new(namespaces), insecure }
    }

    fn may(
        p: &Permissions,
        user: Option<i64>,
        channel: &str,
        action: Action,
        subscribed: bool,
    ) -> Result<(), Denied> {
        let channel = ChannelName::parse(channel, 255).unwrap();
        let user = user.map(|user| user.to_string());
        p.check(user.as_deref(), &channel, action, subscribed).map(|_| ())
    }

    #[test]
    fn built_in_channels_are_open_to_users_and_speak_for_the_log() {
        let p = permissions(ChannelOptions::default(), false);
        assert_eq!(may(&p, Some(1), "feed:all", Action::Subscribe, false), Ok(()));
        assert_eq!(may(&p, Some(1), "tag:c#", Action::Subscribe, false), Ok(()));
        assert_eq!(may(&p, None, "feed:all", Action::Subscribe, false), Err(Denied::NotPermitted));
        assert_eq!(may(&p, Some(1), "feed:all", Action::Publish, true), Err(Denied::NotPermitted));
        assert_eq!(
            may(&p, Some(1), "notifications:#2", Action::Subscribe, false),
            Err(Denied::NotPermitted)
        );
        assert_eq!(
            may(&p, Some(1), "notifications:#2", Action::ReadHistory, false),
            Err(Denied::NotPermitted)
        );
        assert_eq!(
            may(&p, Some(1), "feed:all", Action::ReadPresence, true),
            Err(Denied::NotAvailable)
        );
        assert_eq!(
            may(&p, Some(1), "nope:x", Action::Subscribe, false),
            Err(Denied::UnknownChannel)
        );
        assert_eq!(may(&p, Some(1), "nope", Action::Subscribe, false), Err(Denied::UnknownChannel));
    }

    #[test]
    fn insecure_opens_what_is_configured_but_no_inbox_and_no_publishing_for_the_log() {
        let p = permissions(ChannelOptions::default(), true);
        assert_eq!(may(&p, None, "chat:a", Action::Subscribe, false), Ok(()));
        assert_eq!(may(&p, None, "chat:a", Action::Publish, false), Ok(()));
        assert_eq!(
            may(&p, None, "notifications:#2", Action::Subscribe, false),
            Err(Denied::NotPermitted)
        );
        assert_eq!(may(&p, None, "feed:all", Action::Publish, false), Err(Denied::NotPermitted));
    }

    #[test]
    fn options_decide_for_configured_namespaces() {
        let options =
            ChannelOptions { allow_publish_for_subscriber: true, ..ChannelOptions::default() };
        let p = permissions(options, false);
        assert_eq!(may(&p, Some(1), "chat:a", Action::Subscribe, false), Err(Denied::NotPermitted));
        assert_eq!(may(&p, Some(1), "chat:a", Action::Publish, false), Err(Denied::NotPermitted));
        assert_eq!(may(&p, Some(1), "chat:a", Action::Publish, true), Ok(()));
        let options =
            ChannelOptions { allow_user_limited_channels: true, ..ChannelOptions::default() };
        let p = permissions(options, false);
        assert_eq!(may(&p, Some(42), "chat:#42,43", Action::Subscribe, false), Ok(()));
        assert_eq!(
            may(&p, Some(4), "chat:#42,43", Action::Subscribe, false),
            Err(Denied::NotPermitted)
        );
        assert_eq!(may(&p, None, "chat:#", Action::Subscribe, false), Err(Denied::NotPermitted));
    }
}
