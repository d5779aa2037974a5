with

observations as (
    select * from {{ ref('int_event_observations') }}
),

final as (
    {%- for metric in optimizely_e3.automatic_metrics() %}
    select
        experiment_id,
        visitor_id,
        variation_id,
        event_key || ': {{ metric.measure }}' as metric_name,
        cast({{ metric.value }} as double) as value
    from observations
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select * from final
