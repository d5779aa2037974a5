{#
    The materialization of models that are incremental by visitor: the touched visitors, and the
    metrics whose declaration changed, are replaced in one transaction with the model's watermark.
    Not dbt's delete+insert: that keeps the rows of a visitor who is gone.
#}

{% materialization by_visitor, adapter='duckdb' %}
    {%- set existing = load_cached_relation(this) -%}
    {%- set built = this.incorporate(type='table') -%}
    {%- if optimizely_e3.is_partial_build() and not optimizely_e3.has_news() -%}
        {%- call noop_statement('main', 'UNCHANGED') -%}{%- endcall -%}
        {{- return({'relations': [built]}) -}}
    {%- endif -%}
    {%- call optimizely_e3.in_one_transaction() -%}
        {%- if optimizely_e3.is_partial_build() -%}
        {{ optimizely_e3.replace_visitors(built) }}
        {%- else -%}
        {{ optimizely_e3.new_table(existing, built) }}
        {%- endif -%}
        {{ optimizely_e3.note_version() }};
        {{ optimizely_e3.note_watermark() }};
        {%- if model.config.meta.by_metric %}
        {{ optimizely_e3.note_metrics() }};
        {%- endif %}
    {%- endcall -%}
    {{- return({'relations': [built]}) -}}
{% endmaterialization %}

{% macro is_partial_build() %}
    {#- Whether this build replaces some visitors of a table that stands. -#}
    {%- if not execute or model.config.materialized != 'by_visitor' or should_full_refresh() -%}
        {{- return(false) -}}
    {%- endif -%}
    {%- set existing = load_cached_relation(this) -%}
    {{- return(existing is not none and existing.type == 'table') -}}
{% endmacro %}

{% macro has_news() %}
    {#- Whether anything was landed, or declared otherwise, since this model was built. -#}
    {%- set conditions = [
        optimizely_e3.watermark() ~ ' < (select coalesce(max(load_id), 0) from '
        ~ source('optimizely_ledger', 'loads') ~ ')'
    ] -%}
    {%- if model.config.meta.by_metric -%}
        {%- do conditions.append(
            'exists (select 1 from (' ~ optimizely_e3.changed_metrics() ~ ') as changed)'
        ) -%}
        {%- do conditions.append(
            'exists (select metric_name from ' ~ optimizely_e3.metrics_table() ~ " where model = '"
            ~ optimizely_e3.name_in_schema(model) ~ "' except select metric_name from "
            ~ ref('int_metric_definitions') ~ ')'
        ) -%}
    {%- endif -%}
    {{- return(run_query('select ' ~ conditions | join(' or ')).columns[0].values()[0]) -}}
{% endmacro %}

{% macro replace_visitors(built) %}
    {#- Rows of others are not touched, and so the columns must be those of the table. -#}
    {%- set rebuilt = built.identifier ~ '__rebuilt' %}
    create or replace temporary table {{ rebuilt }} as (
        {{ compiled_code }}
    );
    select error(
        'The columns of {{ built.identifier }} are others than those of its table: run '
        || '`dbt build --full-refresh --select {{ model.name }}`.'
    )
    where exists (
        select column_name
        from duckdb_columns()
        where
            database_name = 'temp' and table_name = '{{ rebuilt }}'
            or database_name = '{{ built.database }}'
            and schema_name = '{{ built.schema }}'
            and table_name = '{{ built.identifier }}'
        group by column_name, data_type
        having count(*) = 1
    );
    delete from {{ built }} as target_rows
    using ({{ optimizely_e3.touched_visitors() }}) as touched
    where touched.visitor_id is not distinct from target_rows.visitor_id;
    {%- if model.config.meta.by_metric %}
    delete from {{ built }} as target_rows
    where not exists (
        select 1
        from ({{ optimizely_e3.unchanged_metrics() }}) as unchanged
        where unchanged.metric_name = target_rows.metric_name
    );
    {%- endif %}
    insert into {{ built }} by name
    select * from {{ rebuilt }};
    drop table {{ rebuilt }};
{% endmacro %}
