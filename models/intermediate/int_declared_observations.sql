{{ optimizely_e3.visitor_config(by_metric=true) }}
-- depends_on: {{ ref('int_vendor_attributions') }}

{%- set by_vendor = var('attribution') == 'vendor' %}
{%- set since = optimizely_e3.microseconds_between(
    'exposures.exposed_at', 'matching_events.occurred_at'
) %}

with

exposures as (
    {{ optimizely_e3.rows_to_rebuild(ref('int_counted_exposures')) }}
),
{% if by_vendor %}
attributions as (
    {{ optimizely_e3.rows_to_rebuild(ref('int_vendor_attributions')) }}
),
{% endif %}
metric_events as (
    select * from {{ ref('stg_registry__metric_events') }}
),

metrics as (
    select *
    from {{ ref('int_metric_definitions') }}
    where metric_type <> 'funnel'
),

parts as (
    select
        metric_events.*,
        metrics.metric_number,
        {{ optimizely_e3.is_changed_metric('metrics.metric_name') }} as is_changed
    from metric_events
    inner join metrics on metric_events.metric_name = metrics.metric_name
),

{{ optimizely_e3.kinds_of_events(optimizely_e3.countable_conversions()) }},

matching_events as (
    {{ optimizely_e3.matching_events(
        optimizely_e3.countable_conversions(),
        [
            'visitor_id', 'session_key', 'event_id', 'occurred_at', 'revenue_cents', 'value',
            'quantity',
        ],
    ) }}
),
{% if by_vendor %}
attributed_events as (
    select distinct
        visitor_id,
        event_id,
        experiment_id
    from attributions
    where not is_holdback
),
{% endif %}
counted_events as (
    select
        exposures.experiment_id,
        exposures.visitor_id,
        exposures.variation_id,
        metrics.metric_number,
        case when metrics.scope = 'session' then matching_events.session_key end as session_key,
        matching_events.clause,
        matching_events.part,
        matching_events.min_count,
        case
            when metrics.metric_type = 'retention'
                then
                    {{ since }} >= metrics.window_microseconds
                    and (
                        metrics.within_microseconds is null
                        or {{ since }} < metrics.window_microseconds + metrics.within_microseconds
                    )
            else coalesce({{ since }} <= metrics.window_microseconds, true)
        end as is_in_time,
        -- Whole numbers are added up as such: doubles would round the large ones.
        case metrics.measure
            when 'revenue' then cast(matching_events.revenue_cents as decimal(38, 0))
            when 'quantity' then cast(matching_events.quantity as decimal(38, 0))
        end as whole_amount,
        case when metrics.measure = 'value' then matching_events.value end as amount
    from matching_events
    inner join metrics on matching_events.metric_number = metrics.metric_number
    inner join exposures
        on
            matching_events.visitor_id = exposures.visitor_id
            and matching_events.occurred_at >= exposures.exposed_at
    {%- if by_vendor %}
    inner join attributed_events
        on
            exposures.visitor_id = attributed_events.visitor_id
            and exposures.experiment_id = attributed_events.experiment_id
            and matching_events.event_id = attributed_events.event_id
    {%- endif %}
    where
        exposures.is_attributable
        and coalesce(matching_events.occurred_at <= exposures.attributed_until, true)
),

-- One row per experiment × visitor × metric × session (or none) × part.
part_sums as (
    select
        experiment_id,
        visitor_id,
        variation_id,
        metric_number,
        session_key,
        clause,
        part,
        cast(count_if(is_in_time) as bigint) as event_count,
        count_if(is_in_time) >= min_count as holds,
        coalesce(
            cast(sum(case when is_in_time then whole_amount end) as double),
            sum(case when is_in_time then amount end),
            cast(0 as double)
        ) as amount
    from counted_events
    group by
        experiment_id,
        visitor_id,
        variation_id,
        metric_number,
        session_key,
        clause,
        part,
        min_count
),

clause_sums as (
    select
        experiment_id,
        visitor_id,
        variation_id,
        metric_number,
        session_key,
        coalesce(bool_or(clause = 'event' and holds), false) as has_enough_events,
        count_if(clause = 'all_of' and holds) as all_of_held,
        count_if(clause = 'any_of' and holds) as any_of_held,
        count_if(clause = 'none_of' and holds) as none_of_held,
        sum(case when clause in ('event', 'numerator') then event_count else 0 end) as event_count,
        sum(case when clause in ('event', 'numerator') then amount else 0 end) as amount,
        sum(case when clause = 'denominator' then event_count else 0 end) as denominator
    from part_sums
    group by experiment_id, visitor_id, variation_id, metric_number, session_key
),

observed as (
    select
        clause_sums.experiment_id,
        clause_sums.visitor_id,
        clause_sums.variation_id,
        metrics.metric_name,
        case
            when metrics.metric_type in ('conversion', 'retention')
                then cast(clause_sums.has_enough_events as int)
            when metrics.metric_type = 'compound'
                then cast(
                    clause_sums.all_of_held = metrics.all_of_count
                    and (metrics.any_of_count = 0 or clause_sums.any_of_held > 0)
                    and clause_sums.none_of_held = 0
                    as int
                )
            when metrics.measure = 'events' then clause_sums.event_count
            else clause_sums.amount
        end as value,
        case
            when metrics.metric_type = 'ratio' then clause_sums.denominator
        end as denominator
    from clause_sums
    inner join metrics on clause_sums.metric_number = metrics.metric_number
),

-- One session that has it all is enough.
final as (
    select
        experiment_id,
        visitor_id,
        metric_name,
        variation_id,
        cast(max(value) as double) as value,
        cast(max(denominator) as double) as denominator
    from observed
    group by experiment_id, visitor_id, metric_name, variation_id
)

select * from final
