-- depends_on: {{ ref('fct_exposures') }}
with
{% if var('segments') %}
exposures as (
    select * from {{ ref('fct_exposures') }}
),
{% endif %}
counted as (
    select * from {{ ref('int_counted_exposures') }}
),

final as (
    select
        experiment_id,
        visitor_id,
        variation_id,
        'all' as segment_name,
        'all' as segment_value,
        exposed_at
    from counted
    {%- for name in var('segments') %}
    union all
    select
        counted.experiment_id,
        counted.visitor_id,
        counted.variation_id,
        {{ optimizely_e3.text_literal(name) }} as segment_name,
        coalesce(
            {{ optimizely_e3.attribute_value('exposures.attributes', name) }}, '(none)' -- noqa: PRS
        ) as segment_value,
        counted.exposed_at
    from counted
    inner join exposures
        on
            counted.experiment_id = exposures.experiment_id
            and counted.visitor_id = exposures.visitor_id
    {%- endfor %}
)

select * from final
