-- The audits speak of every attributed conversion, and of every session with its events. Returns
-- the counts that differ.
with

audited as (
    select
        'conversions' as subject,
        coalesce(sum(conversion_count), 0) as audited_count
    from {{ ref('attribution_audit') }}
    union all
    select
        'sessions' as subject,
        coalesce(sum(session_count), 0) as audited_count
    from {{ ref('session_audit') }}
    union all
    select
        'events' as subject,
        coalesce(sum(event_count), 0) as audited_count
    from {{ ref('session_audit') }}
),

counted as (
    select
        'conversions' as subject,
        count(*) as true_count
    from {{ ref('fct_attributed_conversions') }}
    union all
    select
        'sessions' as subject,
        count(*) as true_count
    from {{ ref('fct_sessions') }}
    union all
    select
        'events' as subject,
        coalesce(sum(decision_count + conversion_count), 0) as true_count
    from {{ ref('fct_sessions') }}
)

select
    audited.subject,
    audited.audited_count,
    counted.true_count
from audited
inner join counted on audited.subject = counted.subject
where audited.audited_count <> counted.true_count
