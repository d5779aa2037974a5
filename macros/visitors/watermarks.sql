{#
    The watermark of a model is the last load it has seen. It is written in the transaction that writes the model.
    It counts only under the settings it was written with: after a var changed, every visitor is recomputed.
#}

{% macro watermark_table() %}
    {{- api.Relation.create(
        database=target.database, schema=target.schema, identifier='build_watermarks'
    ) -}}
{% endmacro %}

{% macro settings_fingerprint() %}
    {{- local_md5(tojson({
        'attribution': var('attribution'),
        'attribution_window_hours': var('attribution_window_hours'),
        'visitor_counting': var('visitor_counting'),
        'crossovers': var('crossovers'),
    })) -}}
{% endmacro %}

{% macro watermark(relation=none) %}
    {#- Scalar subquery: last load seen by `relation` (this model by default), 0 for none. -#}
    (
        select coalesce(max(watermarks.load_id), 0)
        from {{ optimizely_e3.watermark_table() }} as watermarks
        where
            watermarks.model = '{{ relation or this }}'
            and watermarks.settings = '{{ optimizely_e3.settings_fingerprint() }}'
    )
{%- endmacro %}

{% macro note_watermark() %}
    {#-
        A model has seen no more than the models it reads. Taking the ledger's newest load instead would lose
        visitors when a model is built alone, before the models it reads.
    -#}
    {%- if target.type == 'duckdb' -%}
    {%- set seen = [] -%}
    {%- for relation in optimizely_e3.visitor_models_read(model.depends_on.nodes) -%}
        {%- do seen.append(optimizely_e3.watermark(relation)) -%}
    {%- else -%}
        {%- do seen.append(
            '(select coalesce(max(load_id), 0) from ' ~ source('optimizely_ledger', 'loads') ~ ')'
        ) -%}
    {%- endfor -%}
    delete from {{ optimizely_e3.watermark_table() }} where model = '{{ this }}';
    insert into {{ optimizely_e3.watermark_table() }}
    select
        '{{ this }}' as model,
        '{{ optimizely_e3.settings_fingerprint() }}' as settings,
        least({{ seen | join(', ') }}) as load_id
    {%- endif -%}
{% endmacro %}

{% macro visitor_models_read(node_ids) %}
    {#- Relations of the models incremental by visitor among `node_ids`, and behind the views among them. -#}
    {%- set relations = [] -%}
    {%- if execute -%}
        {%- for node_id in node_ids if node_id in graph.nodes -%}
            {%- set node = graph.nodes[node_id] -%}
            {%- if node.config.incremental_strategy == 'by_visitor' -%}
                {%- do relations.append(node.relation_name) -%}
            {%- else -%}
                {%- do relations.extend(optimizely_e3.visitor_models_read(node.depends_on.nodes)) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{- return(relations | unique | list) -}}
{% endmacro %}

{% macro prepare_build() %}
    {#- Before anything is built: settings are checked, something is landed, the watermarks have their table. -#}
    {%- if execute and flags.WHICH in ('build', 'run', 'test') -%}
        {%- do optimizely_e3.check_settings() -%}
        {%- if target.type == 'duckdb' -%}
            {%- set landed = adapter.get_relation(
                database=target.database, schema='optimizely_ledger', identifier='loads'
            ) -%}
            {%- if landed is none -%}
                {%- do exceptions.raise_compiler_error(
                    'Nothing is landed in this warehouse yet: run `loader pull` first.'
                ) -%}
            {%- endif -%}
            {#- Looking opened a transaction, which dbt would roll back, and what follows with it. -#}
            {%- do adapter.commit() -%}
            create schema if not exists {{ target.database }}.{{ target.schema }};
            create table if not exists {{ optimizely_e3.watermark_table() }} (
                model varchar, settings varchar, load_id bigint
            );
        {%- endif -%}
    {%- endif -%}
{% endmacro %}

{% macro check_settings() %}
    {%- set allowed = {
        'attribution': ['derived', 'vendor'],
        'visitor_counting': ['full_stack', 'web'],
        'crossovers': ['first', 'exclude'],
    } -%}
    {%- set mistakes = [] -%}
    {%- for name, values in allowed.items() if var(name) not in values -%}
        {%- do mistakes.append(name ~ ' is "' ~ var(name) ~ '", must be ' ~ values | join(' or ')) -%}
    {%- endfor -%}
    {%- if var('attribution_window_hours') is not number or var('attribution_window_hours') < 0 -%}
        {%- do mistakes.append('attribution_window_hours must be a number of hours, 0 for no limit') -%}
    {%- endif -%}
    {%- if mistakes -%}
        {%- do exceptions.raise_compiler_error('Wrong vars: ' ~ mistakes | join('; ')) -%}
    {%- endif -%}
{% endmacro %}
