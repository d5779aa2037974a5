with

summary as (
    select * from {{ ref('metric_summary') }}
),

arms as (
    select
        experiment_id,
        metric_name,
        variation_id,
        segment_name,
        segment_value,
        visitors,
        value_sum as numerator,
        coalesce(denominator_sum, cast(visitors as double)) as denominator,
        value_sum / nullif(coalesce(denominator_sum, cast(visitors as double)), 0) as mean
    from summary
),

-- Ids are numbers that only grow, so the smallest is the variation created first: usually the
-- original.
compared as (
    select
        *,
        first_value(variation_id) over baseline_first as baseline_variation_id,
        first_value(mean) over baseline_first as baseline_mean
    from arms
    window
        baseline_first as (
            partition by experiment_id, metric_name, segment_name, segment_value
            order by length(variation_id), variation_id
        )
),

final as (
    select
        experiment_id,
        metric_name,
        variation_id,
        segment_name,
        segment_value,
        baseline_variation_id,
        true as is_baseline_assumed,
        visitors,
        numerator,
        denominator,
        mean,
        baseline_mean,
        mean - baseline_mean as difference,
        (mean - baseline_mean) / nullif(baseline_mean, 0) as lift
    from compared
)

select * from final
