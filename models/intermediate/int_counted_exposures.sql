with

exposures as (
    select * from {{ ref('fct_exposures') }}
),

final as (
    select
        experiment_id,
        visitor_id,
        variation_id,
        exposed_at
    from exposures
    where
        exposure_status in (
            'valid'
            {%- if var('crossovers') == 'first' %}, 'crossover'{% endif %}
        )
        {%- if var('visitor_counting') == 'full_stack' %}
        and exposure_source in ('decision', 'both')
        {%- endif %}
)

select * from final
