-- Which visitors are bots, or look like bots?
--
-- One row per visitor of whom an event that has a time is flagged as a bot's (`is_flagged`;
-- `bot_reason` says by what first), or who has a session of more events than people have
-- (`is_suspicious`); the largest session first.
-- `counted_experiments`: experiments in whose results the visitor counts all the same, as those do
-- whose exposure is not flagged.
--
-- Vars: `suspicious_session_events`: how many events make a session suspicious, 100 without
-- it. `visitor_id` (all without it).
{%- set suspicious = var('suspicious_session_events', 100) | int %}

with

sessions as (
    select * from {{ ref('fct_sessions') }}
),

decisions as (
    select * from {{ ref('fct_decisions') }}
),

conversions as (
    select * from {{ ref('fct_conversions') }}
),

counted_exposures as (
    select * from {{ ref('int_counted_exposures') }}
),

visitors as (
    select
        visitor_id,
        bool_or(is_bot) as is_flagged,
        count(*) as session_count,
        cast(sum(decision_count) as bigint) as decision_count,
        cast(sum(conversion_count) as bigint) as conversion_count,
        max(decision_count + conversion_count) as largest_session_events,
        min(started_at) as first_seen_at,
        max(ended_at) as last_seen_at
    from sessions
    where {{ optimizely_e3.is_asked_for('visitor_id') }}
    group by visitor_id
),

suspects as (
    select
        *,
        largest_session_events >= {{ suspicious }} as is_suspicious
    from visitors
    where
        is_flagged
        or largest_session_events >= {{ suspicious }}
),

events as (
    select
        visitor_id,
        bot_reason,
        user_agent,
        occurred_at
    from decisions
    union all
    select
        visitor_id,
        bot_reason,
        user_agent,
        occurred_at
    from conversions
),

traits as (
    select
        events.visitor_id,
        cast(count_if(events.bot_reason is not null) as bigint) as flagged_events,
        case
            when bool_or(events.bot_reason = 'attribute') then 'attribute'
            when bool_or(events.bot_reason = 'user_agent') then 'user_agent'
            when bool_or(events.bot_reason = 'rate') then 'rate'
        end as bot_reason,
        max(events.user_agent) as user_agent
    from events
    inner join suspects on events.visitor_id = suspects.visitor_id
    where events.occurred_at is not null
    group by events.visitor_id
),

counted as (
    select
        visitor_id,
        count(*) as counted_experiments
    from counted_exposures
    group by visitor_id
),

final as (
    select
        suspects.visitor_id,
        suspects.is_flagged,
        suspects.is_suspicious,
        suspects.largest_session_events,
        traits.bot_reason,
        coalesce(counted.counted_experiments, 0) as counted_experiments,
        traits.user_agent,
        traits.flagged_events,
        suspects.decision_count,
        suspects.conversion_count,
        suspects.session_count,
        suspects.first_seen_at,
        suspects.last_seen_at
    from suspects
    inner join traits on suspects.visitor_id = traits.visitor_id
    left join counted on suspects.visitor_id = counted.visitor_id
)

select * from final
order by largest_session_events desc, visitor_id
