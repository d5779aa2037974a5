with

verdicts as (
    select *
    from {{ ref('int_verdicts') }}
    where counted_by = 'now'
),

conversion_counts as (
    select
        experiment_id,
        metric_name,
        variation_id,
        segment_name,
        segment_value,
        unique_conversions,
        total_conversions
    from {{ ref('metric_summary') }}
),

final as (
    select
        verdicts.experiment_id,
        verdicts.metric_name,
        verdicts.variation_id,
        verdicts.segment_name,
        verdicts.segment_value,
        conversion_counts.unique_conversions,
        conversion_counts.total_conversions,
        {{ optimizely_e3.result_columns() }}
    from verdicts
    inner join conversion_counts
        on
            verdicts.experiment_id = conversion_counts.experiment_id
            and verdicts.metric_name = conversion_counts.metric_name
            and verdicts.variation_id = conversion_counts.variation_id
            and verdicts.segment_name = conversion_counts.segment_name
            and verdicts.segment_value = conversion_counts.segment_value
)

select * from final
