-- At which step does a funnel lose its visitors?
--
-- One row per experiment × funnel × variation × step: how many of those who reached the step before
-- it (for step 1: of the exposed) did not reach it. `is_largest_loss` marks the step of the funnel
-- and variation that loses most. Without declared funnels there are no rows: docs/metrics.md.
--
-- Vars: `experiment_id`, `metric_name`, `variation_id` (all without them).
with

funnel_report as (
    select * from {{ ref('funnel_report') }}
),

variations as (
    select * from {{ ref('dim_variations') }}
),

losses as (
    select
        *,
        visitors + lost_visitors as previous_visitors,
        row_number() over (
            partition by experiment_id, metric_name, variation_id
            order by lost_visitors desc, step
        ) as loss_rank
    from funnel_report
    where
        step > 0
        and {{ optimizely_e3.is_asked_for('experiment_id') }}
        and {{ optimizely_e3.is_asked_for('metric_name') }}
        and {{ optimizely_e3.is_asked_for('variation_id') }}
),

final as (
    select
        losses.metric_name,
        losses.variation_id,
        losses.step_name,
        losses.lost_visitors,
        1 - losses.rate_of_previous as lost_share,
        losses.loss_rank = 1 as is_largest_loss,
        losses.step,
        losses.previous_visitors,
        losses.visitors,
        losses.median_seconds,
        losses.p90_seconds,
        variations.variation_name,
        losses.experiment_id
    from losses
    left join variations
        on
            losses.experiment_id = variations.experiment_id
            and losses.variation_id = variations.variation_id
)

select * from final
order by experiment_id, metric_name, variation_id, step
