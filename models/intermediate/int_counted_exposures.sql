with

exposures as (
    select * from {{ ref('fct_exposures') }}
),

final as (
    select
        experiment_id,
        visitor_id,
        variation_id,
        {%- if var('attribution') == 'derived' %}
        {{ optimizely_e3.has_decision('exposures') }} as is_attributable,
        {{ optimizely_e3.attribution_ends_at('exposed_at') }} as attributed_until,
        {%- else %}
        true as is_attributable,
        cast(null as timestamp) as attributed_until,
        {%- endif %}
        exposed_at
    from exposures
    where
        exposure_status in (
            'valid'
            {%- if var('crossovers') == 'first' %}, 'crossover'{% endif %}
        )
        {%- if var('visitor_counting') == 'full_stack' %}
        and {{ optimizely_e3.has_decision('exposures') }}
        {%- endif %}
)

select * from final
