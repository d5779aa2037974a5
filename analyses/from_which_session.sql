-- Do visitors convert in the session in which they were exposed, or in a later one?
--
-- One row per conversion that the results of one experiment count: its session beside that of the
-- exposure. `sessions_later` is 0 for the same session, 1 for the visitor's next one, and so on.
--
-- Vars: `experiment_id` (without it, the experiment with the most visitors), `event_key` (the
-- event's name, or its entity id where it has none), `variation_id`, `visitor_id` (all without
-- them).
with

experiment as (
    {{ optimizely_e3.experiment_in_question() }}
),

exposures as (
    select * from {{ ref('fct_exposures') }}
),

sessions as (
    select * from {{ ref('fct_sessions') }}
),

counted_conversions as (
    {{ optimizely_e3.counted_conversions() }}
),

conversions as (
    select
        counted_conversions.*,
        exposures.session_key as exposure_session_key
    from counted_conversions
    inner join experiment on counted_conversions.experiment_id = experiment.experiment_id
    inner join exposures
        on
            counted_conversions.experiment_id = exposures.experiment_id
            and counted_conversions.visitor_id = exposures.visitor_id
    where
        {{ optimizely_e3.is_asked_for('counted_conversions.event_key') }}
        and {{ optimizely_e3.is_asked_for('counted_conversions.variation_id') }}
        and {{ optimizely_e3.is_asked_for('counted_conversions.visitor_id') }}
),

converted_visitors as (
    select distinct visitor_id
    from conversions
),

numbered_sessions as (
    select
        sessions.session_key,
        sessions.started_at,
        row_number() over (
            partition by sessions.visitor_id
            order by sessions.started_at, sessions.session_key
        ) as session_number
    from sessions
    inner join converted_visitors on sessions.visitor_id = converted_visitors.visitor_id
),

final as (
    select
        conversions.visitor_id,
        conversions.event_key,
        conversions.variation_id,
        conversions.exposure_session_key = conversions.session_key as is_same_session,
        conversion_sessions.session_number - exposure_sessions.session_number as sessions_later,
        conversions.seconds_since_exposure,
        conversions.exposed_at,
        conversions.occurred_at,
        exposure_sessions.started_at as exposure_session_started_at,
        conversion_sessions.started_at as conversion_session_started_at,
        conversions.exposure_session_key,
        conversions.session_key as conversion_session_key,
        conversions.event_id,
        conversions.revenue_cents,
        conversions.experiment_id
    from conversions
    inner join numbered_sessions as exposure_sessions
        on conversions.exposure_session_key = exposure_sessions.session_key
    inner join numbered_sessions as conversion_sessions
        on conversions.session_key = conversion_sessions.session_key
)

select * from final
order by visitor_id, occurred_at, event_id
