{{ config(
    materialized='table_if_changed',
    pre_hook="{{ optimizely_e3.stop_at_mistakes(ref('int_metric_mistakes')) }}",
) }}

-- depends_on: {{ ref('int_metric_mistakes') }}
with

metrics as (
    select * from {{ ref('stg_registry__metrics') }}
),

metric_events as (
    select * from {{ ref('stg_registry__metric_events') }}
),

event_texts as (
    select
        metric_name,
        count(distinct case when clause = 'step' then part end) as step_count,
        count(distinct case when clause = 'all_of' then part end) as all_of_count,
        count(distinct case when clause = 'any_of' then part end) as any_of_count,
        array_sort(array_agg(
            concat_ws(
                chr(31),
                clause,
                cast(part as string),
                match_field,
                match_value,
                coalesce(tag_name, ''),
                coalesce(tag_value, ''),
                cast(min_count as string)
            )
        )) as texts
    from metric_events
    group by metric_name
),

final as (
    select
        metrics.metric_name,
        metrics.metric_type,
        metrics.measure,
        metrics.within_from,
        metrics.scope,
        metrics.direction,
        metrics.role,
        metrics.description,
        cast(row_number() over (order by metrics.metric_name) as int) as metric_number,
        event_texts.step_count,
        event_texts.all_of_count,
        event_texts.any_of_count,
        metrics.window_microseconds,
        metrics.within_microseconds,
        -- After this long an observation no longer changes; NULL where it can for ever.
        case
            when metrics.metric_type = 'retention'
                then metrics.window_microseconds + coalesce(metrics.within_microseconds, 0)
            when metrics.metric_type = 'funnel' and metrics.within_from = 'exposure'
                then least(
                    coalesce(metrics.window_microseconds, metrics.within_microseconds),
                    coalesce(metrics.within_microseconds, metrics.window_microseconds)
                )
            else metrics.window_microseconds
        end as maturity_microseconds,
        metrics.cap_quantile,
        metrics.non_inferiority_margin,
        md5(cast(event_texts.texts as string)) as events_fingerprint,
        -- What stored observations depend on: with another fingerprint, they are computed again.
        md5(concat_ws(
            chr(31),
            metrics.metric_type,
            metrics.measure,
            metrics.within_from,
            metrics.scope,
            coalesce(cast(metrics.window_microseconds as string), ''),
            coalesce(cast(metrics.within_microseconds as string), ''),
            cast(event_texts.texts as string)
        )) as fingerprint
    from metrics
    inner join event_texts on metrics.metric_name = event_texts.metric_name
)

select * from final
