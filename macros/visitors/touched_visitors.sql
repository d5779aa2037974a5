{#
    Incremental by visitor. Everything this project computes depends on one visitor's history and
    nothing else, so the unit of recomputation is the visitor: a model recomputes, from all their
    rows, the visitors touched since it was last built, and replaces them. Late files, rewritten
    days and erasures need no special case.

    A model begins with `visitor_config()`, takes its rows through `rows_to_rebuild`, and has a
    column `visitor_id`.
#}

{% macro visitor_config(by_metric=false, partition_by=none) %}
    {#-
        The configuration of a model that is incremental by visitor; a table where deletes are dear.
        `by_metric`: the model has a column `metric_name`, and computes a metric whose declaration
        changed anew for all visitors. `partition_by`: a column whose values Spark keeps apart; the
        model ends in `gathered_by`.
    -#}
    {#- Said here, for dbt finds no ref() that stands in a condition. -#}
    {%- do ref('int_visitor_loads') -%}
    {%- do ref('int_metric_definitions') -%}
    {%- do ref('stg_registry__bot_user_agents') -%}
    {%- set is_incremental_here = target.type == 'duckdb' -%}
    {%- if execute and is_incremental_here and 'get_incremental_by_visitor_sql' not in context -%}
        {#- dbt looks for it at the second build, and in the project that is built only. -#}
        {%- do exceptions.raise_compiler_error(
            'A macro get_incremental_by_visitor_sql is missing in this project: copy it from '
            ~ 'docs/extending.md, section "In a dbt project of your own".'
        ) -%}
    {%- endif -%}
    {{ config(
        materialized='incremental' if is_incremental_here else 'table',
        incremental_strategy='by_visitor',
        on_schema_change='fail',
        partition_by=partition_by if target.type == 'spark' else none,
        meta={'by_metric': by_metric},
        post_hook=[
            "{{ optimizely_e3.note_version() }}",
            "{{ optimizely_e3.note_watermark() }}",
            "{{ optimizely_e3.note_metrics() }}",
        ],
    ) }}
{% endmacro %}

{% macro touched_visitors() %}
    {#-
        Select of the visitors whose rows came or went since this model's watermark. NULL is one of
        them.
    -#}
    select distinct visitor_id
    from {{ ref('int_visitor_loads') }}
    where load_id > {{ optimizely_e3.watermark() }}
{% endmacro %}

{% macro rows_to_rebuild(relation) %}
    {#-
        Select of all rows, or in an incremental run of the touched visitors' rows, of `relation`.
        In a model by metric they say whether each `is_touched`, and rows of all other visitors
        come too where a declaration changed.
    -#}
    {%- set by_metric = model.config.get('meta', {}).get('by_metric') -%}
    {%- set of_everybody =
        not is_incremental() or (by_metric and optimizely_e3.is_any_metric_changed())
    -%}
    {%- set is_touched =
        'touched.visitor_id is not null' if is_incremental() and of_everybody else 'true'
    %}
    select
        source_rows.*
        {%- if by_metric %},
        {{ is_touched }} as is_touched
        {%- endif %}
    from {{ relation }} as source_rows
    {%- if not of_everybody %}
    where exists (
        select 1
        from ({{ optimizely_e3.touched_visitors() }}) as touched
        where touched.visitor_id is not distinct from source_rows.visitor_id
    )
    {%- elif is_incremental() %}
    left join ({{ optimizely_e3.touched_visitors() }}) as touched
        on source_rows.visitor_id = touched.visitor_id
    {%- endif %}
{% endmacro %}

{% macro get_incremental_by_visitor_sql(arguments) %}
    {#-
        Replaces the touched visitors, and the metrics whose declaration changed. Not dbt's
        delete+insert: that keeps the rows of a visitor who is gone.
    -#}
    {%- set columns = get_quoted_csv(arguments.dest_columns | map(attribute='name')) -%}
    delete from {{ arguments.target_relation }} as target_rows
    using ({{ optimizely_e3.touched_visitors() }}) as touched
    where touched.visitor_id is not distinct from target_rows.visitor_id;
    {%- if model.config.meta.by_metric %}
    delete from {{ arguments.target_relation }} as target_rows
    where not exists (
        select 1
        from ({{ optimizely_e3.unchanged_metrics() }}) as unchanged
        where unchanged.metric_name = target_rows.metric_name
    );
    {%- endif %}
    insert into {{ arguments.target_relation }} ({{ columns }})
    select {{ columns }}
    from {{ arguments.temp_relation }}
{% endmacro %}
