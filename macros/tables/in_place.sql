{#
    Tables and views that are replaced in one transaction, with their comments. dbt builds each beside
    the old one, renames both and asks for the columns before it writes comments, which is dear: see
    docs/decisions/0018.
#}

{% materialization replaced_view, adapter='duckdb' %}
    {%- set existing = load_cached_relation(this) -%}
    {%- set built = this.incorporate(type='view') -%}
    {%- call optimizely_e3.in_one_transaction() -%}
        {{ optimizely_e3.drop_existing(existing) }}
        {{ get_create_view_as_sql(built, compiled_code) }}
        {{ optimizely_e3.comments(built) }}
    {%- endcall -%}
    {{- return({'relations': [built]}) -}}
{% endmaterialization %}

{% materialization replaced_view, adapter='spark' %}
    {{- return(dbt.materialization_view_spark()) -}}
{% endmaterialization %}

{% macro in_one_transaction() %}
    {#- Runs the SQL of its caller, a materialization, with the model's hooks around it. -#}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- set sql = caller() -%}
    {%- call statement('main') -%}{{ sql }}{%- endcall -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {%- do adapter.commit() -%}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
{% endmacro %}

{% macro new_table(existing, built) %}
    {{ optimizely_e3.drop_existing(existing) }}
    {{ create_table_as(False, built, compiled_code) }}
    {{ optimizely_e3.comments(built) }}
{% endmacro %}

{% macro drop_existing(existing) %}
    {%- if existing is not none -%}
    drop {{ existing.type }} if exists {{ existing }} cascade;
    {%- endif -%}
{% endmacro %}

{% macro comments(relation) %}
    {#- Comments of a relation and of its columns, as far as they are described and wanted. -#}
    {%- if config.persist_relation_docs() and model.description -%}
    {{ duckdb__alter_relation_comment(relation, model.description) }}
    {%- endif -%}
    {%- if config.persist_column_docs() -%}
    {%- for column in model.columns.values() if column.description %}
    comment on column {{ relation }}.{{ adapter.quote(column.name) }}
    is {{ duckdb_escape_comment(column.description) }};
    {%- endfor -%}
    {%- endif -%}
{% endmacro %}
