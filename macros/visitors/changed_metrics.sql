{#
    The declarations that a model was last built with, in the table `build_metrics`: written in the
    transaction that writes the model. A metric whose declaration is another now is computed anew,
    for all visitors; the others are left alone.
#}

{% macro metrics_table() %}
    {{- return(api.Relation.create(
        database=target.database, schema=target.schema, identifier='build_metrics'
    )) -}}
{% endmacro %}

{% macro unchanged_metrics() %}
    {#- Select of the metrics whose declaration this model was last built with. -#}
    select definitions.metric_name
    from {{ ref('int_metric_definitions') }} as definitions
    inner join {{ optimizely_e3.metrics_table() }} as built
        on
            definitions.metric_name = built.metric_name
            and definitions.fingerprint = built.fingerprint
    where built.model = '{{ optimizely_e3.name_in_schema(model) }}'
{% endmacro %}

{% macro changed_metrics() %}
    {#- Select of the metrics whose declaration is new, or another than at the last build. -#}
    select definitions.metric_name
    from {{ ref('int_metric_definitions') }} as definitions
    where
        definitions.metric_name not in ({{ optimizely_e3.unchanged_metrics() }})
{% endmacro %}

{% macro is_any_metric_changed() %}
    {#- Asked before the model's SQL is written: that of a few visitors is another, and cheaper. -#}
    {%- set found = run_query(
        'select exists (select 1 from (' ~ optimizely_e3.changed_metrics() ~ ') as changed)'
    ) -%}
    {{- return(found.columns[0].values()[0] if execute else true) -}}
{% endmacro %}

{% macro note_metrics() %}
    {%- set this_name = optimizely_e3.name_in_schema(model) -%}
    delete from {{ optimizely_e3.metrics_table() }} where model = '{{ this_name }}';
    insert into {{ optimizely_e3.metrics_table() }}
    select
        '{{ this_name }}' as model,
        metric_name,
        fingerprint
    from {{ ref('int_metric_definitions') }}
{% endmacro %}

{% macro is_changed_metric(metric_name) %}
    {#- Whether a metric has to be computed for visitors that are not touched, too. -#}
    {%- if optimizely_e3.is_partial_build() -%}
    {{ metric_name }} in ({{ optimizely_e3.changed_metrics() }})
    {%- else -%}
    true
    {%- endif -%}
{% endmacro %}
