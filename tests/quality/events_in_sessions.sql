-- Sessions hold every event of every visitor, once. Returns the two counts where they differ.
with

events as (
    select count(*) as event_count
    from (
        select session_key from {{ ref('fct_decisions') }}
        union all
        select session_key from {{ ref('fct_conversions') }}
    ) as all_events
    where session_key is not null
),

sessions as (
    select coalesce(sum(decision_count + conversion_count), 0) as event_count
    from {{ ref('fct_sessions') }}
)

select
    events.event_count as events_with_a_session,
    sessions.event_count as events_in_sessions
from events
cross join sessions
where events.event_count <> sessions.event_count
