with

results as (
    select * from {{ ref('stg_registry__vendor_results') }}
),

modes as (
    select * from {{ ref('int_counting_modes') }}
),

exposures as (
    select * from {{ ref('fct_exposures') }}
),

conversions as (
    select
        *,
        {{ optimizely_e3.event_key('event_name', 'entity_id') }} as event_key
    from {{ ref('fct_attributed_conversions') }}
),

-- Only what was asked for is counted: with an empty seed, nothing.
reconciled_experiments as (
    select distinct experiment_id
    from results
),

reconciled_events as (
    select distinct
        experiment_id,
        event_key
    from results
    where event_key is not null
),

-- Whom any mode counts. Not by `exposure_status`, which keeps one reason of several: a bot may also
-- be a crossover.
countable_exposures as (
    select
        exposures.experiment_id,
        exposures.visitor_id,
        exposures.variation_id,
        {{ optimizely_e3.has_decision('exposures') }} as has_decision,
        exposures.variation_count > 1 as is_crossover,
        exposures.is_bot
    from exposures
    inner join reconciled_experiments
        on exposures.experiment_id = reconciled_experiments.experiment_id
    where not exposures.is_holdback and exposures.variation_id is not null
),

countable_conversions as (
    select
        conversions.experiment_id,
        conversions.visitor_id,
        conversions.event_key,
        conversions.attribution_source,
        conversions.revenue_cents,
        conversions.value,
        conversions.is_bot
    from conversions
    inner join reconciled_events
        on
            conversions.experiment_id = reconciled_events.experiment_id
            and conversions.event_key = reconciled_events.event_key
    where conversions.seconds_since_exposure >= 0
),

conversion_modes as (
    select distinct
        attribution,
        bots
    from modes
),

visitor_events as (
    select
        countable_exposures.experiment_id,
        countable_exposures.visitor_id,
        countable_exposures.variation_id,
        countable_exposures.has_decision,
        countable_exposures.is_crossover,
        countable_exposures.is_bot,
        countable_conversions.event_key,
        conversion_modes.attribution,
        conversion_modes.bots,
        count(*) as conversion_count,
        coalesce(sum(cast(countable_conversions.revenue_cents as decimal(38, 0))), 0)
            as revenue_cents,
        coalesce(sum(countable_conversions.value), cast(0 as double)) as value
    from countable_exposures
    inner join countable_conversions
        on
            countable_exposures.experiment_id = countable_conversions.experiment_id
            and countable_exposures.visitor_id = countable_conversions.visitor_id
    inner join conversion_modes
        on
            countable_conversions.attribution_source in ('both', conversion_modes.attribution)
            and (conversion_modes.bots = 'included' or not countable_conversions.is_bot)
    group by
        countable_exposures.experiment_id,
        countable_exposures.visitor_id,
        countable_exposures.variation_id,
        countable_exposures.has_decision,
        countable_exposures.is_crossover,
        countable_exposures.is_bot,
        countable_conversions.event_key,
        conversion_modes.attribution,
        conversion_modes.bots
),

-- Visitors who are alike for every mode are summed first: what remains is small.
visitor_groups as (
    select
        experiment_id,
        variation_id,
        has_decision,
        is_crossover,
        is_bot,
        cast(null as string) as event_key,
        cast(null as string) as attribution,
        cast(null as string) as bots,
        'visitors' as measure,
        cast(count(*) as double) as amount
    from countable_exposures
    group by experiment_id, variation_id, has_decision, is_crossover, is_bot
),

event_groups as (
    select
        experiment_id,
        variation_id,
        has_decision,
        is_crossover,
        is_bot,
        event_key,
        attribution,
        bots,
        cast(count(*) as double) as unique_conversions,
        sum(cast(conversion_count as double)) as total_conversions,
        sum(cast(revenue_cents as double)) as revenue_cents,
        sum(value) as value
    from visitor_events
    group by
        experiment_id,
        variation_id,
        has_decision,
        is_crossover,
        is_bot,
        event_key,
        attribution,
        bots
),

measured_groups as (
    select * from visitor_groups
    {%- for measure in ['unique_conversions', 'total_conversions', 'revenue_cents', 'value'] %}
    union all
    select
        experiment_id,
        variation_id,
        has_decision,
        is_crossover,
        is_bot,
        event_key,
        attribution,
        bots,
        '{{ measure }}' as measure,
        {{ measure }} as amount
    from event_groups
    {%- endfor %}
),

counted as (
    select
        measured_groups.experiment_id,
        measured_groups.variation_id,
        measured_groups.event_key,
        measured_groups.measure,
        modes.visitor_counting,
        modes.crossovers,
        modes.attribution,
        modes.bots,
        sum(measured_groups.amount) as amount
    from measured_groups
    inner join modes
        on
            (measured_groups.attribution is null or measured_groups.attribution = modes.attribution)
            and (measured_groups.bots is null or measured_groups.bots = modes.bots)
            and (modes.visitor_counting = 'web' or measured_groups.has_decision)
            and (modes.crossovers = 'first' or not measured_groups.is_crossover)
            and (modes.bots = 'included' or not measured_groups.is_bot)
    group by
        measured_groups.experiment_id,
        measured_groups.variation_id,
        measured_groups.event_key,
        measured_groups.measure,
        modes.visitor_counting,
        modes.crossovers,
        modes.attribution,
        modes.bots
),

final as (
    select * from counted
    union all
    select
        experiment_id,
        cast(null as string) as variation_id,
        event_key,
        measure,
        visitor_counting,
        crossovers,
        attribution,
        bots,
        sum(amount) as amount
    from counted
    group by
        experiment_id, event_key, measure, visitor_counting, crossovers, attribution, bots
)

select * from final
