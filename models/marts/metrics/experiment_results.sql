with

verdicts as (
    select *
    from {{ ref('int_verdicts') }}
    where counted_by = 'now'
),

final as (
    select
        experiment_id,
        metric_name,
        variation_id,
        segment_name,
        segment_value,
        {{ optimizely_e3.result_columns() }}
    from verdicts
)

select * from final
