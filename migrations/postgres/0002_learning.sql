-- Learning analytics. Users are not required to be in the dimension table, which knows those alone who acted.

CREATE TABLE user_analytics (
    user_id           bigint        NOT NULL PRIMARY KEY,
    profile_data      jsonb         NOT NULL DEFAULT '{}',
    learning_progress jsonb         NOT NULL DEFAULT '{}',
    skill_metrics     jsonb         NOT NULL DEFAULT '{}',
    engagement_score  numeric(5, 2) NOT NULL DEFAULT 0,
    total_points      integer       NOT NULL DEFAULT 0,
    streak_days       integer       NOT NULL DEFAULT 0,
    last_activity     timestamptz,
    created_at        timestamptz   NOT NULL DEFAULT now(),
    updated_at        timestamptz   NOT NULL DEFAULT now()
);

CREATE INDEX user_analytics_by_profile ON user_analytics USING gin (profile_data);
CREATE INDEX user_analytics_by_progress ON user_analytics USING gin (learning_progress);
CREATE INDEX user_analytics_by_skill ON user_analytics USING gin (skill_metrics);
CREATE INDEX user_analytics_by_engagement ON user_analytics (engagement_score DESC);
CREATE INDEX user_analytics_by_activity ON user_analytics (last_activity);

CREATE TABLE learning_sessions (
    session_id            uuid          NOT NULL PRIMARY KEY,
    user_id               bigint        NOT NULL,
    content_type          text          NOT NULL CHECK (content_type IN ('article', 'video', 'tutorial')),
    content_id            text          NOT NULL,
    duration_minutes      integer       NOT NULL CHECK (duration_minutes >= 0),
    completion_percentage numeric(5, 2) NOT NULL DEFAULT 0 CHECK (completion_percentage BETWEEN 0 AND 100),
    technologies          text[]        NOT NULL DEFAULT '{}',
    difficulty_level      smallint      CHECK (difficulty_level BETWEEN 1 AND 10),
    user_rating           smallint      CHECK (user_rating BETWEEN 1 AND 5),
    session_start         timestamptz   NOT NULL,
    session_end           timestamptz   CHECK (session_end >= session_start),
    created_at            timestamptz   NOT NULL DEFAULT now()
);

CREATE INDEX learning_sessions_by_user ON learning_sessions (user_id, session_start);
CREATE INDEX learning_sessions_by_start ON learning_sessions (session_start);
CREATE INDEX learning_sessions_by_technology ON learning_sessions USING gin (technologies);

CREATE TABLE learning_paths (
    path_id               uuid          NOT NULL PRIMARY KEY,
    user_id               bigint        NOT NULL,
    path_name             text          NOT NULL,
    milestones            jsonb         NOT NULL DEFAULT '[]',
    completion_percentage numeric(5, 2) NOT NULL DEFAULT 0 CHECK (completion_percentage BETWEEN 0 AND 100),
    created_at            timestamptz   NOT NULL DEFAULT now(),
    updated_at            timestamptz   NOT NULL DEFAULT now()
);

CREATE INDEX learning_paths_by_user ON learning_paths (user_id);

CREATE TABLE skill_assessments (
    assessment_id uuid          NOT NULL PRIMARY KEY,
    user_id       bigint        NOT NULL,
    skill_area    text          NOT NULL,
    score         numeric(5, 2) NOT NULL,
    taken_on      date          NOT NULL
);

CREATE INDEX skill_assessments_by_user ON skill_assessments (user_id, skill_area, taken_on);

-- Sessions are summed up before their technologies are unnested: joined the other way round, a session would count
-- once for each of its technologies.
CREATE VIEW user_learning_insights AS
SELECT a.user_id,
       a.total_points,
       a.engagement_score,
       coalesce(s.total_sessions, 0)              AS total_sessions,
       coalesce(s.average_duration_minutes, 0)    AS average_duration_minutes,
       coalesce(s.average_completion, 0)          AS average_completion,
       coalesce(t.technologies, '{}')             AS technologies,
       date_trunc('week', a.last_activity, 'UTC') AS week_of_last_activity
FROM user_analytics AS a
LEFT JOIN (
    SELECT user_id,
           count(*)                             AS total_sessions,
           round(avg(duration_minutes), 2)      AS average_duration_minutes,
           round(avg(completion_percentage), 2) AS average_completion
    FROM learning_sessions
    GROUP BY user_id
) AS s USING (user_id)
LEFT JOIN (
    SELECT user_id, array_agg(DISTINCT technology ORDER BY technology) AS technologies
    FROM learning_sessions, unnest(technologies) AS technology
    GROUP BY user_id
) AS t USING (user_id);
