{{ optimizely_e3.visitor_config() }}

{#- What is no number stops the run, but only after this is read. -#}
{%- set event_limit = var('bot_events_per_minute') | int %}
{%- set is_over_rate =
    'visitors_over_rate.visitor_id is not null' if event_limit > 0 else 'false' %}
{%- set starts = optimizely_e3.spaced_elements('instants', "interval '24' hour") %}

with

-- Only what sessions need: wide rows are never sorted.
events as (
    {{ optimizely_e3.exported_events(['visitor_id', 'occurred_at', '_file_id', '_file_row']) }}
),

surplus_copies as (
    select *
    from ({{ optimizely_e3.rows_to_rebuild(ref('int_event_copies')) }}) as copies
    where copy_number > 1
),

deduplicated as (
    select events.*
    from events
    where
        not exists (
            select 1
            from surplus_copies
            where
                surplus_copies._file_id = events._file_id
                and surplus_copies._file_row = events._file_row
        )
),

timed as (
    select
        visitor_id,
        occurred_at,
        _file_id,
        _file_row,
        lag(occurred_at) over (partition by visitor_id order by occurred_at) as previous_at
    from deduplicated
    where visitor_id is not null and occurred_at is not null
),

-- Thirty minutes without an event open a session. The frame is by value, so events of one instant
-- get one start, whichever of them came first.
separated as (
    select
        visitor_id,
        occurred_at,
        _file_id,
        _file_row,
        max(
            case
                when
                    previous_at is null
                    or occurred_at >= previous_at + interval '30' minute
                    then occurred_at
            end
        ) over (
            partition by visitor_id
            order by occurred_at
            range between unbounded preceding and current row
        ) as visit_started_at
    from timed
    where {{ optimizely_e3.is_computed_once() }}
),

-- Visits longer than 24 hours are cut, each session starting at the first event past the 24 hours
-- of the one before. That needs a walk; few visits need it. Not a recursive query: Spark computes
-- all of the above anew for each of its steps.
overlong_visits as (
    select distinct
        visitor_id,
        visit_started_at
    from separated
    where occurred_at > visit_started_at + interval '24' hour
),

overlong_instants as (
    select distinct
        separated.visitor_id,
        separated.visit_started_at,
        separated.occurred_at
    from separated
    inner join overlong_visits
        on
            separated.visitor_id = overlong_visits.visitor_id
            and separated.visit_started_at = overlong_visits.visit_started_at
    where {{ optimizely_e3.is_computed_once() }}
),

walks as (
    select
        visitor_id,
        visit_started_at,
        array_sort(array_agg(occurred_at)) as instants
    from overlong_instants
    group by visitor_id, visit_started_at
),

session_starts as (
    select
        visitor_id,
        visit_started_at,
        {{ optimizely_e3.each_element(starts) }} as session_started_at -- noqa: PRS
    from walks
),

cut_instants as (
    select
        overlong_instants.visitor_id,
        overlong_instants.occurred_at,
        max(session_starts.session_started_at) over (
            partition by overlong_instants.visitor_id, overlong_instants.visit_started_at
            order by overlong_instants.occurred_at
            range between unbounded preceding and current row
        ) as session_started_at
    from overlong_instants
    left join session_starts
        on
            overlong_instants.visitor_id = session_starts.visitor_id
            and overlong_instants.visit_started_at = session_starts.visit_started_at
            and overlong_instants.occurred_at = session_starts.session_started_at
),

sessionized as (
    select
        separated.visitor_id,
        coalesce(
            cut_instants.session_started_at, separated.visit_started_at
        ) as session_started_at,
        separated._file_id,
        separated._file_row
    from separated
    left join cut_instants
        on
            separated.visitor_id = cut_instants.visitor_id
            and separated.occurred_at = cut_instants.occurred_at
    union all
    select
        visitor_id,
        cast(null as timestamp) as session_started_at,
        _file_id,
        _file_row
    from deduplicated
    where visitor_id is null or occurred_at is null
),
{%- if event_limit > 0 %}

-- All events of such a visitor are a bot's, also those without a time.
visitors_over_rate as (
    select distinct visitor_id
    from (
        select visitor_id
        from deduplicated
        where visitor_id is not null and occurred_at is not null
        group by visitor_id, date_trunc('minute', occurred_at)
        having count(*) > {{ event_limit }}
    ) as minutes_over_rate
),
{%- endif %}

final as (
    select
        sessionized.visitor_id,
        sessionized.session_started_at,
        {{ is_over_rate }} as is_over_rate,
        sessionized._file_id,
        sessionized._file_row
    from sessionized
    {%- if event_limit > 0 %}
    left join visitors_over_rate on sessionized.visitor_id = visitors_over_rate.visitor_id
    {%- endif %}
)

select * from final
