with

verdicts as (
    select *
    from {{ ref('int_verdicts') }}
    where counted_by = 'day_since_exposure'
),

final as (
    select
        experiment_id,
        metric_name,
        variation_id,
        days_since_exposure,
        {{ optimizely_e3.result_columns() }}
    from verdicts
)

select * from final
