with

results as (
    select * from {{ ref('stg_registry__vendor_results') }}
),

exposures as (
    select * from {{ ref('fct_exposures') }}
),

decisions as (
    select * from {{ ref('fct_decisions') }}
),

conversions as (
    select
        *,
        {{ optimizely_e3.event_key('event_name', 'entity_id') }} as event_key
    from {{ ref('fct_conversions') }}
),

sightings as (
    select * from {{ ref('int_sightings') }}
),

attributions as (
    select
        *,
        {{ optimizely_e3.event_key('event_name', 'entity_id') }} as event_key
    from {{ ref('fct_attributed_conversions') }}
),

experiments as (
    select * from {{ ref('dim_experiments') }}
),

events as (
    select * from {{ ref('dim_events') }}
),

export_days as (
    select * from {{ ref('export_days') }}
),

-- Without a variation it is all of the experiment, without an event its visitors.
disputes as (
    select distinct
        experiment_id,
        variation_id,
        event_key
    from results
),

visitor_facts as (
    select
        disputes.experiment_id,
        disputes.variation_id,
        disputes.event_key,
        count(*) as visitors,
        count_if(exposures.variation_count > 1) as crossover_visitors,
        count_if(exposures.is_bot) as bot_visitors,
        count_if(exposures.exposure_source = 'vendor') as vendor_only_visitors,
        count_if(exposures.variation_id is null) as visitors_without_variation
    from disputes
    inner join exposures
        on
            disputes.experiment_id = exposures.experiment_id
            and (
                disputes.variation_id is null or disputes.variation_id = exposures.variation_id
            )
    where not exposures.is_holdback
    group by disputes.experiment_id, disputes.variation_id, disputes.event_key
),

arms as (
    select
        experiment_id,
        visitor_id,
        variation_id
    from sightings
    where not is_holdback and occurred_at is not null
),

-- Who was in the variation, and counts for the one they were in before.
arm_facts as (
    select
        disputes.experiment_id,
        disputes.variation_id,
        disputes.event_key,
        count(distinct exposures.visitor_id) as visitors_counted_elsewhere
    from disputes
    inner join arms
        on
            disputes.experiment_id = arms.experiment_id
            and disputes.variation_id = arms.variation_id
    inner join exposures
        on
            arms.experiment_id = exposures.experiment_id
            and arms.visitor_id = exposures.visitor_id
    where exposures.variation_id is distinct from disputes.variation_id
    group by disputes.experiment_id, disputes.variation_id, disputes.event_key
),

decision_facts as (
    select
        disputes.experiment_id,
        disputes.variation_id,
        disputes.event_key,
        count(*) as late_decisions
    from disputes
    inner join decisions
        on
            disputes.experiment_id = decisions.experiment_id
            and (
                disputes.variation_id is null or disputes.variation_id = decisions.variation_id
            )
    where
        not decisions.is_holdback
        and cast(decisions.occurred_at as date) < decisions.export_date
    group by disputes.experiment_id, disputes.variation_id, disputes.event_key
),

conversion_facts as (
    select
        disputes.experiment_id,
        disputes.variation_id,
        disputes.event_key,
        count_if(attributions.is_bot) as bot_conversions,
        count_if(attributions.agreement = 'other_variation') as other_variation,
        count_if(attributions.agreement = 'missing') as missing,
        count_if(attributions.agreement = 'not_filled') as not_filled,
        count_if(attributions.agreement = 'no_decision_seen') as no_decision_seen,
        count_if(attributions.agreement = 'before_exposure') as before_exposure,
        count_if(attributions.agreement = 'extra') as extra,
        count_if(cast(attributions.occurred_at as date) < conversions.export_date)
            as late_conversions
    from disputes
    inner join attributions
        on
            disputes.experiment_id = attributions.experiment_id
            and disputes.event_key = attributions.event_key
            and (
                disputes.variation_id is null or disputes.variation_id = attributions.variation_id
            )
    inner join conversions
        on
            attributions.event_id = conversions.event_id
            -- Not `=`: the vendor also attributes conversions that name no visitor.
            and attributions.visitor_id is not distinct from conversions.visitor_id
    group by disputes.experiment_id, disputes.variation_id, disputes.event_key
),

window_facts as (
    select
        disputes.experiment_id,
        disputes.variation_id,
        disputes.event_key,
        count(*) as beyond_window
    from disputes
    inner join exposures
        on
            disputes.experiment_id = exposures.experiment_id
            and (
                disputes.variation_id is null or disputes.variation_id = exposures.variation_id
            )
    inner join conversions
        on
            disputes.event_key = conversions.event_key
            and exposures.visitor_id = conversions.visitor_id
    where
        {{ optimizely_e3.has_decision('exposures') }}
        and not exposures.is_holdback
        and conversions.occurred_at
        > {{ optimizely_e3.attribution_ends_at('exposures.exposed_at') }}
    group by disputes.experiment_id, disputes.variation_id, disputes.event_key
),

event_facts as (
    select
        event_key,
        sum(conversion_count) as conversions
    from events
    group by event_key
),

day_facts as (
    select
        disputes.experiment_id,
        disputes.variation_id,
        disputes.event_key,
        count_if(export_days.is_missing) as missing_days,
        count_if(export_days.is_landed and not export_days.is_complete) as incomplete_days
    from disputes
    inner join experiments on disputes.experiment_id = experiments.experiment_id
    -- What was exported before the experiment was first seen holds nothing of it.
    inner join export_days on cast(experiments.first_seen_at as date) <= export_days.export_date
    group by disputes.experiment_id, disputes.variation_id, disputes.event_key
),

type_facts as (
    select
        export_type,
        count_if(is_pruned) as pruned_days,
        max(case when is_landed then export_date end) as last_landed_date
    from export_days
    group by export_type
),

export_facts as (
    select
        sum(pruned_days) as pruned_days,
        min(last_landed_date) as landed_until
    from type_facts
),

final as (
    select
        disputes.experiment_id,
        disputes.variation_id,
        disputes.event_key,
        coalesce(visitor_facts.visitors, 0) as visitors,
        coalesce(visitor_facts.crossover_visitors, 0) as crossover_visitors,
        coalesce(arm_facts.visitors_counted_elsewhere, 0) as visitors_counted_elsewhere,
        coalesce(visitor_facts.bot_visitors, 0) as bot_visitors,
        coalesce(visitor_facts.vendor_only_visitors, 0) as vendor_only_visitors,
        coalesce(visitor_facts.visitors_without_variation, 0) as visitors_without_variation,
        coalesce(decision_facts.late_decisions, 0) as late_decisions,
        coalesce(event_facts.conversions, 0) as conversions,
        coalesce(conversion_facts.bot_conversions, 0) as bot_conversions,
        coalesce(conversion_facts.other_variation, 0) as other_variation,
        coalesce(conversion_facts.missing, 0) as missing,
        coalesce(conversion_facts.not_filled, 0) as not_filled,
        coalesce(conversion_facts.no_decision_seen, 0) as no_decision_seen,
        coalesce(conversion_facts.before_exposure, 0) as before_exposure,
        coalesce(conversion_facts.extra, 0) as extra,
        coalesce(window_facts.beyond_window, 0) as beyond_window,
        coalesce(conversion_facts.late_conversions, 0) as late_conversions,
        coalesce(day_facts.missing_days, 0) as missing_days,
        coalesce(day_facts.incomplete_days, 0) as incomplete_days,
        export_facts.pruned_days,
        export_facts.landed_until
    from disputes
    cross join export_facts
    left join visitor_facts
        on
            disputes.experiment_id = visitor_facts.experiment_id
            and disputes.variation_id is not distinct from visitor_facts.variation_id
            and disputes.event_key is not distinct from visitor_facts.event_key
    left join arm_facts
        on
            disputes.experiment_id = arm_facts.experiment_id
            and disputes.variation_id = arm_facts.variation_id
            and disputes.event_key is not distinct from arm_facts.event_key
    left join decision_facts
        on
            disputes.experiment_id = decision_facts.experiment_id
            and disputes.variation_id is not distinct from decision_facts.variation_id
            and disputes.event_key is not distinct from decision_facts.event_key
    left join conversion_facts
        on
            disputes.experiment_id = conversion_facts.experiment_id
            and disputes.variation_id is not distinct from conversion_facts.variation_id
            and disputes.event_key = conversion_facts.event_key
    left join window_facts
        on
            disputes.experiment_id = window_facts.experiment_id
            and disputes.variation_id is not distinct from window_facts.variation_id
            and disputes.event_key = window_facts.event_key
    left join event_facts on disputes.event_key = event_facts.event_key
    left join day_facts
        on
            disputes.experiment_id = day_facts.experiment_id
            and disputes.variation_id is not distinct from day_facts.variation_id
            and disputes.event_key is not distinct from day_facts.event_key
)

select * from final
