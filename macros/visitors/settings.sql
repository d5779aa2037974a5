{#
    The vars that decide which visitors and conversions count, and how, as they are for this
    package. A project that installs it may set them for the package alone, and dbt then shows them
    to the package's models and not to the project's own: these find them in a model of the package.
#}
{% macro counting_settings() %}
    {%- if model.package_name == 'optimizely_e3' or not execute -%}
        {{- return({
            'attribution': var('attribution'),
            'attribution_window_hours': var('attribution_window_hours'),
            'visitor_counting': var('visitor_counting'),
            'crossovers': var('crossovers'),
            'bot_events_per_minute': var('bot_events_per_minute'),
        }) -}}
    {%- endif -%}
    {{- return(
        graph.nodes['model.optimizely_e3.int_counting_modes'].config.meta.counting_settings
    ) -}}
{% endmacro %}
