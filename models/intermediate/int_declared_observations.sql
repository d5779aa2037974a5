{{ optimizely_e3.visitor_config(by_metric=true) }}
-- depends_on: {{ ref('int_vendor_attributions') }}

{%- set by_vendor = var('attribution') == 'vendor' %}
{%- set since = optimizely_e3.microseconds_between(
    'numbered_exposures.exposed_at', 'matching_events.occurred_at'
) %}

with

exposures as (
    {{ optimizely_e3.rows_to_rebuild(ref('int_counted_exposures')) }}
),

-- What is counted is sorted and joined by numbers, which is far faster than by names.
numbered_exposures as (
    select
        *,
        {{ optimizely_e3.row_key(['experiment_id', 'visitor_id']) }} as exposure_key
    from exposures
    where is_attributable
),

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
    {{ optimizely_e3.attributed_events() }}
),
{% endif %}
metric_parts as (
    select distinct
        looked_up.part_number,
        looked_up.clause,
        looked_up.part,
        looked_up.min_count,
        metrics.*
    from looked_up
    inner join metrics on looked_up.metric_number = metrics.metric_number
),

counted_events as (
    select
        numbered_exposures.exposure_key,
        metric_parts.part_number,
        case
            when metric_parts.scope = 'session'
                then
                    {{ optimizely_e3.session_started_ms(
                        'matching_events.session_key', 'matching_events.visitor_id'
                    ) }}
            else 0
        end as session_number,
        cast(matching_events.occurred_at as date) as observed_on,
        case
            when metric_parts.metric_type = 'retention'
                then
                    {{ since }} >= metric_parts.window_microseconds
                    and (
                        metric_parts.within_microseconds is null
                        or {{ since }}
                        < metric_parts.window_microseconds + metric_parts.within_microseconds
                    )
            else coalesce({{ since }} <= metric_parts.window_microseconds, true)
        end as is_in_time,
        -- Whole numbers are added up as such: doubles would round the large ones.
        case metric_parts.measure
            when 'revenue' then cast(matching_events.revenue_cents as decimal(38, 0))
            when 'quantity' then cast(matching_events.quantity as decimal(38, 0))
        end as whole_amount,
        case when metric_parts.measure = 'value' then matching_events.value end as amount
    from matching_events
    inner join metric_parts on matching_events.part_number = metric_parts.part_number
    inner join numbered_exposures
        on
            matching_events.visitor_id = numbered_exposures.visitor_id
            and matching_events.occurred_at >= numbered_exposures.exposed_at
    {%- if by_vendor %}
    inner join attributed_events
        on
            numbered_exposures.visitor_id = attributed_events.visitor_id
            and numbered_exposures.experiment_id = attributed_events.experiment_id
            and matching_events.event_id = attributed_events.event_id
    {%- endif %}
    where coalesce(matching_events.occurred_at <= numbered_exposures.attributed_until, true)
),

-- One row per exposure × part × session (or none) × day.
part_days as (
    select
        exposure_key,
        part_number,
        session_number,
        observed_on,
        count_if(is_in_time) as event_count,
        sum(case when is_in_time then whole_amount end) as whole_amount,
        sum(case when is_in_time then amount end) as amount
    from counted_events
    group by exposure_key, part_number, session_number, observed_on
    having {{ optimizely_e3.is_computed_once() }}
),

compound_part_days as (
    select
        part_days.exposure_key,
        metric_parts.metric_number,
        part_days.session_number,
        metric_parts.clause,
        metric_parts.part,
        metric_parts.min_count,
        part_days.observed_on,
        sum(part_days.event_count) over (
            partition by
                part_days.exposure_key,
                metric_parts.metric_number,
                part_days.session_number,
                metric_parts.clause,
                metric_parts.part
            order by part_days.observed_on
        ) as events_so_far
    from part_days
    inner join metric_parts on part_days.part_number = metric_parts.part_number
    where metric_parts.metric_type = 'compound'
),

held_parts as (
    select
        exposure_key,
        metric_number,
        session_number,
        clause,
        part,
        min(observed_on) as held_on
    from compound_part_days
    where events_so_far >= min_count
    group by exposure_key, metric_number, session_number, clause, part
),

held_clauses as (
    select
        exposure_key,
        metric_number,
        session_number,
        count_if(clause = 'all_of') as all_of_held,
        max(case when clause = 'all_of' then held_on end) as all_of_held_on,
        min(case when clause = 'any_of' then held_on end) as any_of_held_on,
        min(case when clause = 'none_of' then held_on end) as none_of_held_on
    from held_parts
    group by exposure_key, metric_number, session_number
),

-- When a session (or the visitor) comes to have it all, and when no longer.
held_compounds as (
    select
        held_clauses.*,
        greatest(
            coalesce(held_clauses.all_of_held_on, held_clauses.any_of_held_on),
            coalesce(held_clauses.any_of_held_on, held_clauses.all_of_held_on)
        ) as held_from
    from held_clauses
    inner join metrics on held_clauses.metric_number = metrics.metric_number
    where
        held_clauses.all_of_held = metrics.all_of_count
        and (metrics.any_of_count = 0 or held_clauses.any_of_held_on is not null)
),

-- What a day adds to the observation; of a compound, to the number of sessions that have it all.
additions as (
    select
        part_days.exposure_key,
        metric_parts.metric_number,
        part_days.observed_on,
        case
            when metric_parts.metric_type = 'compound' then 1
            else metric_parts.min_count
        end as min_count,
        case
            when metric_parts.metric_type = 'compound' or metric_parts.clause = 'denominator' then 0
            when metric_parts.measure = 'events' then part_days.event_count
            else part_days.whole_amount
        end as whole_amount,
        case when metric_parts.clause <> 'denominator' then part_days.amount end as amount,
        case when metric_parts.clause = 'denominator' then part_days.event_count end as denominator,
        case
            when metric_parts.metric_type <> 'compound' and metric_parts.clause <> 'denominator'
                then part_days.event_count
        end as conversion_count
    from part_days
    inner join metric_parts on part_days.part_number = metric_parts.part_number
    {%- for held_on, sessions in [('held_from', 1), ('none_of_held_on', -1)] %}
    union all
    select
        exposure_key,
        metric_number,
        greatest(held_from, {{ held_on }}) as observed_on,
        1 as min_count,
        {{ sessions }} as whole_amount,
        cast(null as double) as amount,
        cast(null as bigint) as denominator,
        cast(null as bigint) as conversion_count
    from held_compounds
    where {{ held_on }} is not null
    {%- endfor %}
),

days as (
    select
        exposure_key,
        metric_number,
        observed_on,
        max(min_count) as min_count,
        coalesce(sum(cast(whole_amount as decimal(38, 0))), 0) as whole_amount,
        sum(amount) as amount,
        coalesce(sum(denominator), 0) as denominator,
        coalesce(sum(conversion_count), 0) as conversion_count
    from additions
    group by exposure_key, metric_number, observed_on
),

observed as (
    select
        exposure_key,
        metric_number,
        observed_on,
        min_count,
        whole_amount as added_whole_amount,
        denominator as added_denominator,
        sum(whole_amount) over by_day as whole_amount,
        sum(denominator) over by_day as denominator,
        sum(conversion_count) over by_day as conversion_count,
        coalesce(sum(amount) over by_day, 0) as amount,
        -- Not the difference to what the day adds: that of doubles is rounded.
        coalesce(sum(amount) over before_day, 0) as previous_amount,
        lead(observed_on) over by_day is null as is_latest
    from days
    {{ optimizely_e3.windows_by_day(['exposure_key', 'metric_number']) }}
),

before_and_after as (
    select
        *,
        whole_amount - added_whole_amount as previous_whole_amount,
        denominator - added_denominator as previous_denominator
    from observed
),

final as (
    select
        numbered_exposures.experiment_id,
        numbered_exposures.visitor_id,
        metrics.metric_name,
        numbered_exposures.variation_id,
        {%- for prefix in ['', 'previous_'] %}
        case
            when metrics.metric_type in ('conversion', 'retention', 'compound')
                then cast(
                    cast(
                        observations.{{ prefix }}whole_amount >= observations.min_count as int
                    ) as double
                )
            when metrics.measure = 'value' then observations.{{ prefix }}amount
            else cast(observations.{{ prefix }}whole_amount as double)
        end as {{ prefix }}value,
        case
            when metrics.metric_type = 'ratio'
                then cast(observations.{{ prefix }}denominator as double)
        end as {{ prefix }}denominator,
        {%- endfor %}
        case
            when metrics.metric_type <> 'compound'
                then cast(observations.conversion_count as bigint)
        end as conversion_count,
        observations.is_latest,
        cast(numbered_exposures.exposed_at as date) as exposed_on,
        observations.observed_on
    from before_and_after as observations
    inner join metrics on observations.metric_number = metrics.metric_number
    inner join numbered_exposures on observations.exposure_key = numbered_exposures.exposure_key
)

select * from final
