{#
    Select of rows of visitors once for everyone, and once for each of the visitor's segments, which
    `exposures` knows.
#}
{% macro in_segments(rows, exposures) %}
    select
        *,
        'all' as segment_name,
        'all' as segment_value
    from {{ rows }}
    {%- if var('segments') %}
    union all
    select
        {{ rows }}.*,
        {{ exposures }}.segment_name,
        {{ exposures }}.segment_value
    from {{ rows }}
    inner join {{ exposures }}
        on
            {{ rows }}.experiment_id = {{ exposures }}.experiment_id
            and {{ rows }}.visitor_id = {{ exposures }}.visitor_id
    where {{ exposures }}.segment_name <> 'all'
    {%- endif %}
{%- endmacro %}
