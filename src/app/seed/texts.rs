//! What the people of the demo are called, and what they write.

/// User name, first name, last name.
pub(super) const PEOPLE: [(&str, &str, &str); 20] = [
    ("ada", "Ada", "Okafor"),
    ("grace", "Grace", "Lindqvist"),
    ("linus", "Linus", "Moreau"),
    ("barbara", "Barbara", "Petrov"),
    ("edsger", "Edsger", "Nakamura"),
    ("margaret", "Margaret", "Silva"),
    ("dennis", "Dennis", "Haddad"),
    ("radia", "Radia", "Kovacs"),
    ("ken", "Ken", "Adeyemi"),
    ("frances", "Frances", "Dubois"),
    ("bjarne", "Bjarne", "Castillo"),
    ("hedy", "Hedy", "Novak"),
    ("alan", "Alan", "Ibrahim"),
    ("shafi", "Shafi", "Bergman"),
    ("donald", "Donald", "Rossi"),
    ("katherine", "Katherine", "Jung"),
    ("tony", "Tony", "Fischer"),
    ("annie", "Annie", "Mbeki"),
    ("niklaus", "Niklaus", "Park"),
    ("joan", "Joan", "Eriksen"),
];

/// A subject with its tags.
pub(super) const SUBJECTS: [(&str, &[&str]); 20] = [
    ("async Rust", &["rust", "async"]),
    ("PostgreSQL indexes", &["postgresql", "databases"]),
    ("WebSocket backpressure", &["websocket", "realtime"]),
    ("Redis streams", &["redis", "realtime"]),
    ("idempotency keys", &["api", "reliability"]),
    ("group commit", &["databases", "performance"]),
    ("TLS at the edge", &["security", "networking"]),
    ("feature flags", &["delivery"]),
    ("property-based tests", &["testing", "rust"]),
    ("accessible forms", &["frontend", "accessibility"]),
    ("CSS container queries", &["css", "frontend"]),
    ("cache invalidation", &["caching", "performance"]),
    ("Kubernetes probes", &["kubernetes", "operations"]),
    ("structured logging", &["observability", "operations"]),
    ("event sourcing", &["architecture", "databases"]),
    ("UUIDv7 as a key", &["databases", "api"]),
    ("graceful shutdown", &["operations", "reliability"]),
    ("flame graphs", &["performance", "linux"]),
    ("schema migrations", &["databases", "delivery"]),
    ("rate limits that are fair", &["api", "security"]),
];

/// Five ways to write about a subject; `{}` is its name.
pub(super) const TITLES: [&str; 5] = [
    "A field guide to {}",
    "What {} taught us in production",
    "{}, measured",
    "Five mistakes with {}",
    "{} from scratch",
];

/// First paragraphs.
pub(super) const OPENINGS: [&str; 5] = [
    "Everybody has an opinion about {}. Few have numbers, and fewer still have kept them for a year. \
     This is what we wrote down, in the order in which we would have liked to read it.",
    "We shipped {} on a Tuesday, rolled it back on a Wednesday, and understood it on a Friday. The \
     short version: the happy path was never the hard part.",
    "I measured {} on the two machines that I had, for a week, and the result was not the one that I \
     had hoped for. It was more useful than that.",
    "Each of these mistakes with {} looked like common sense at the time. I made four of them myself, \
     and reviewed the fifth.",
    "The best way to lose the fear of {} is to build the smallest version that is still honest, and \
     then to break it on purpose.",
];

/// Second paragraphs.
pub(super) const MIDDLES: [&str; 6] = [
    "Start with what must never happen. Write it down as a sentence that a test can check, and give \
     the test that name. Everything else is allowed to change.",
    "The queue was bounded from the first day, and that saved us twice: once from a slow consumer, and \
     once from ourselves.",
    "Look at the 99th percentile, not at the mean. The mean was beautiful during the whole outage.",
    "It helped to draw the timeline by hand: who writes, who waits, and what is on disk when the power \
     goes. Two of the arrows were in our heads only.",
    "Retries are a feature only if the other side can tell a repeat from something new. Before that \
     they are a second bug with better manners.",
    "We deleted more code than we wrote. What remained fits on a screen, and new colleagues \
     understand it before lunch.",
];

/// Code for the middle of a post.
pub(super) const SNIPPETS: [&str; 4] = [
    "```rust\nlet page = store.read(cursor, limit + 1).await?;\nlet more = page.len() > limit;\n```",
    "```sql\nCREATE INDEX CONCURRENTLY posts_by_author\n    ON posts (author_id, published_at DESC);\n```",
    "```js\nsocket.onmessage = ({ data }) => data.split(\"\\n\").map(JSON.parse).forEach(render);\n```",
    "```sh\nperf record -F 99 -g -- ./server && perf script | flamegraph > out.svg\n```",
];

/// Last paragraphs.
pub(super) const CLOSINGS: [&str; 5] = [
    "What would you do differently? The comments are open, and so is the benchmark.",
    "If you try this and it does not work, tell me. That would be the interesting case.",
    "Next week: the same thing with the network cable pulled.",
    "None of this is new. All of it was new to us.",
    "The whole thing took three evenings. Writing it up took four.",
];

/// What people say to that.
pub(super) const COMMENTS: [&str; 12] = [
    "This is the clearest explanation that I have read so far.",
    "Did you try it with a cold cache? We saw very different numbers.",
    "The second mistake cost us a weekend. Thank you for writing it down.",
    "I disagree about the defaults, but the argument is fair.",
    "Could you share how you measured this?",
    "We do the same, with one more queue in the middle. It is not better.",
    "Bookmarked for the next design review.",
    "How does this behave when the disk is full?",
    "Short, honest, and with numbers. More of this, please.",
    "What happens if the client retries with the same key after a day?",
    "I had to read the part about ordering twice. Worth it.",
    "Works for us since March, about 4,000 requests a second.",
];

/// What is answered.
pub(super) const REPLIES: [&str; 6] = [
    "Good point, I will add that.",
    "Yes, and it was slower than I want to admit.",
    "The script is at the end of the post.",
    "Not yet. Would you like to try?",
    "Thank you!",
    "That is exactly the case that I am unsure about.",
];
