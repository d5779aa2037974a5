-- Which visitors saw more than one variation of an experiment?
--
-- One row per experiment × visitor: the variation that the visitor counts for (under
-- `crossovers: first`), and the other one, of several the one seen first. A few are normal: cleared
-- cookies, shared ids. Many mean that visitors are bucketed anew. `seconds_between` is negative
-- where the vendor attributes a conversion before the first decision.
--
-- Vars: `experiment_id`, `visitor_id` (all without them).
with

all_exposures as (
    select * from {{ ref('fct_exposures') }}
),

sightings as (
    select * from {{ ref('int_sightings') }}
),

exposures as (
    select *
    from all_exposures
    where
        variation_count > 1
        and not is_holdback
        and {{ optimizely_e3.is_asked_for('experiment_id') }}
        and {{ optimizely_e3.is_asked_for('visitor_id') }}
),

other_variations as (
    select
        exposures.experiment_id,
        exposures.visitor_id,
        sightings.variation_id,
        min(sightings.occurred_at) as first_seen_at
    from exposures
    inner join sightings
        on
            exposures.experiment_id = sightings.experiment_id
            and exposures.visitor_id = sightings.visitor_id
            and sightings.variation_id is distinct from exposures.variation_id
    where
        not sightings.is_holdback
        and sightings.variation_id is not null
        and sightings.occurred_at is not null
    group by exposures.experiment_id, exposures.visitor_id, sightings.variation_id
),

ranked_variations as (
    select
        *,
        row_number() over (
            partition by experiment_id, visitor_id
            order by first_seen_at, variation_id
        ) as place
    from other_variations
),

final as (
    select
        exposures.experiment_id,
        exposures.visitor_id,
        exposures.variation_id,
        ranked_variations.variation_id as other_variation_id,
        {{ optimizely_e3.seconds_between(
            'exposures.exposed_at', 'ranked_variations.first_seen_at'
        ) }} as seconds_between,
        exposures.exposed_at,
        ranked_variations.first_seen_at as other_seen_at,
        exposures.variation_count,
        exposures.decision_count,
        exposures.exposure_source,
        exposures.exposure_status
    from exposures
    inner join ranked_variations
        on
            exposures.experiment_id = ranked_variations.experiment_id
            and exposures.visitor_id = ranked_variations.visitor_id
    where ranked_variations.place = 1
)

select * from final
order by experiment_id, exposed_at, visitor_id
