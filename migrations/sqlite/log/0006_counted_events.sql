-- What trending is rebuilt from at every start, without reading everything else that was published.
CREATE INDEX counted_events ON events (id)
WHERE kind IN ('post.viewed', 'post.liked', 'post.unliked', 'post.bookmarked', 'post.unbookmarked',
               'post.shared', 'post.commented', 'comment.removed');
