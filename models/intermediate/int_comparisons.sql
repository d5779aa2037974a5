{%- set least_visitors = [var('minimum_visitors'), 2] | max %}
{%- set least_conversions = var('minimum_conversions') %}

with

arms as (
    select
        *,
        variation_id = baseline_variation_id as is_baseline,
        least(numerator, denominator - numerator) as rarer_outcomes
    from {{ ref('int_arms') }}
),

beside_baselines as (
    select
        *,
        max(case when is_baseline then visitors end) over arms_compared as baseline_visitors,
        max(case when is_baseline then mean end) over arms_compared as baseline_mean,
        max(case when is_baseline then mean_variance end) over arms_compared
            as baseline_variance,
        max(case when is_baseline then rarer_outcomes end) over arms_compared
            as baseline_rarer_outcomes
    from arms
    window
        arms_compared as (
            partition by
                experiment_id,
                metric_name,
                segment_name,
                segment_value,
                counted_by,
                day,
                days_since_exposure
        )
),

-- Variances on the scale of the logarithm are relative to the means.
compared as (
    select
        *,
        mean - baseline_mean as difference,
        mean_variance + baseline_variance as difference_variance,
        mean > 0 and baseline_mean > 0 as has_log_lift,
        case
            when mean > 0 and baseline_mean > 0 then mean_variance / (mean * mean)
        end as log_variance,
        case
            when mean > 0 and baseline_mean > 0
                then baseline_variance / (baseline_mean * baseline_mean)
        end as baseline_log_variance
    from beside_baselines
),

with_reasons as (
    select
        *,
        case
            when is_baseline then 'baseline'
            when baseline_visitors is null then 'no_baseline'
            when difference is null then 'no_denominator'
            when least(visitors, baseline_visitors) < {{ least_visitors }}
                then 'too_few_visitors'
            when
                is_rate
                and least(rarer_outcomes, baseline_rarer_outcomes) < {{ least_conversions }}
                then 'too_few_conversions'
            when difference_variance = 0 then 'no_variance'
        end as reason
    from compared
),

final as (
    select
        experiment_id,
        metric_name,
        variation_id,
        segment_name,
        segment_value,
        counted_by,
        day,
        days_since_exposure,
        metric_type,
        role,
        direction,
        non_inferiority_margin,
        baseline_variation_id,
        is_baseline_assumed,
        visitors,
        numerator,
        denominator,
        mean,
        baseline_mean,
        difference,
        case when baseline_mean > 0 then difference / baseline_mean end as lift,
        reason,
        case
            when reason is not null then reason
            when not has_log_lift then 'mean_not_positive'
        end as lift_reason,
        -- What is inferred stands on the following; NULL where there is a reason not to.
        case
            when reason is null
                then
                    cast(visitors as double) * baseline_visitors / (visitors + baseline_visitors)
        end as effective_visitors,
        case when reason is null then difference_variance end as difference_variance,
        case
            when reason is null and has_log_lift then log_variance + baseline_log_variance
        end as lift_variance,
        case
            when reason is not null then null
            when is_rate then {{ optimizely_e3.normal_degrees() }}
            else {{ optimizely_e3.welch_degrees(
                'mean_variance', 'visitors', 'baseline_variance', 'baseline_visitors'
            ) }}
        end as difference_degrees,
        case
            when reason is not null or not has_log_lift then null
            when is_rate then {{ optimizely_e3.normal_degrees() }}
            else {{ optimizely_e3.welch_degrees(
                'log_variance', 'visitors', 'baseline_log_variance', 'baseline_visitors'
            ) }}
        end as lift_degrees
    from with_reasons
)

select * from final
