with

verdicts as (
    select *
    from {{ ref('int_verdicts') }}
    where counted_by in ('day_of_exposure', 'day_of_observation')
),

final as (
    select
        experiment_id,
        metric_name,
        variation_id,
        counted_by,
        day,
        {{ optimizely_e3.result_columns() }}
    from verdicts
)

select * from final
