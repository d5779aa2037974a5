{#- A table: what watches the ratio reads it several times. -#}
{{ config(materialized='table_if_changed') }}
{%- set concentration = optimizely_e3.threshold('sample_ratio_concentration') %}

with

exposure_days as (
    select * from {{ ref('int_exposure_days') }}
),

weights as (
    select * from {{ ref('int_variation_weights') }}
),

dates as (
    select distinct
        experiment_id,
        exposure_date
    from exposure_days
),

arms_so_far as (
    select
        dates.experiment_id,
        dates.exposure_date,
        weights.expected_share,
        coalesce(exposure_days.new_visitors, 0) as new_visitors,
        sum(coalesce(exposure_days.new_visitors, 0)) over (
            partition by dates.experiment_id, weights.variation_id
            order by dates.exposure_date
            rows between unbounded preceding and current row
        ) as visitors
    from dates
    inner join weights on dates.experiment_id = weights.experiment_id
    left join exposure_days
        on
            dates.experiment_id = exposure_days.experiment_id
            and dates.exposure_date = exposure_days.exposure_date
            and weights.variation_id = exposure_days.variation_id
),

-- Whom a variation without a planned share has is no matter of probability: they are counted
-- apart.
planned_arms as (
    select
        experiment_id,
        exposure_date,
        expected_share,
        cast(visitors as double) as visitors,
        cast(sum(visitors) over (partition by experiment_id, exposure_date) as double)
            as all_visitors,
        expected_share * {{ concentration }} as prior_visitors
    from arms_so_far
    where expected_share > 0
),

-- As many visitors before the first as the prior is worth, and those who came.
posterior_arms as (
    select
        *,
        prior_visitors + visitors as posterior_visitors,
        {{ concentration }} + all_visitors as all_posterior_visitors,
        visitors - all_visitors * expected_share as excess_visitors
    from planned_arms
),

excesses as (
    select
        *,
        excess_visitors / (all_posterior_visitors * expected_share) as relative_excess
    from posterior_arms
),

-- The logarithm of the Bayes factor is a small difference of huge log-gammas. Stirling's main terms
-- are subtracted on paper, so that what is added up here is small as well.
terms as (
    select
        experiment_id,
        exposure_date,
        all_posterior_visitors,
        excess_visitors * excess_visitors
        / nullif(all_visitors * expected_share, 0e0) as chi_square_term,
        (posterior_visitors - 5e-1)
        -- The logarithm of 1 + the excess, without the loss of digits where that is small.
        * case
            when abs(relative_excess) < 5e-1
                then {{ optimizely_e3.log_of_one_plus('relative_excess') }}
            else ln(posterior_visitors / (all_posterior_visitors * expected_share))
        end
        + {{ optimizely_e3.stirling_remainder('posterior_visitors') }}
        - {{ optimizely_e3.stirling_remainder('prior_visitors') }} as log_bayes_term
    from excesses
),

sums as (
    select
        experiment_id,
        exposure_date,
        all_posterior_visitors,
        count(*) as arm_count,
        {{ optimizely_e3.sum_in_order('chi_square_term') }} as chi_square,
        {{ optimizely_e3.sum_in_order('log_bayes_term') }} as log_bayes_terms
    from terms
    group by experiment_id, exposure_date, all_posterior_visitors
),

evidence as (
    select
        experiment_id,
        exposure_date,
        arm_count,
        chi_square,
        log_bayes_terms
        - cast(arm_count - 1 as double) / 2e0
        * ln(all_posterior_visitors / {{ concentration }})
        - {{ optimizely_e3.stirling_remainder('all_posterior_visitors') }}
        + {{ optimizely_e3.stirling_remainder(concentration) }} as log_bayes_factor
    from sums
),

totals as (
    select
        experiment_id,
        exposure_date,
        cast(sum(new_visitors) as bigint) as new_visitors,
        cast(sum(visitors) as bigint) as visitors,
        cast(sum(case when expected_share > 0 then 0 else visitors end) as bigint)
            as unplanned_visitors
    from arms_so_far
    group by experiment_id, exposure_date
),

days as (
    select
        totals.experiment_id,
        totals.exposure_date,
        evidence.arm_count,
        totals.new_visitors,
        totals.visitors,
        totals.unplanned_visitors,
        case when totals.unplanned_visitors = 0 then evidence.chi_square end as chi_square,
        case when totals.unplanned_visitors = 0 then evidence.log_bayes_factor end
            as log_bayes_factor,
        -- Not the lesser of 1 and exp(-…): for a factor very near 0 that is out of range.
        case
            when totals.unplanned_visitors = 0 then exp(-greatest(evidence.log_bayes_factor, 0e0))
            else 0e0
        end as p_value
    from totals
    inner join evidence
        on
            totals.experiment_id = evidence.experiment_id
            and totals.exposure_date = evidence.exposure_date
),

final as (
    select
        experiment_id,
        exposure_date,
        arm_count,
        new_visitors,
        visitors,
        unplanned_visitors,
        chi_square,
        log_bayes_factor,
        min(p_value) over (
            partition by experiment_id
            order by exposure_date
            rows between unbounded preceding and current row
        ) as p_value_always_valid
    from days
)

select * from final
