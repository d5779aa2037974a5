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
    {{ config(
        materialized='by_visitor' if target.type == 'duckdb' else 'table',
        partition_by=partition_by if target.type == 'spark' else none,
        meta={'by_metric': by_metric},
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
    {%- set is_partial = optimizely_e3.is_partial_build() -%}
    {%- set of_everybody =
        not is_partial or (by_metric and optimizely_e3.is_any_metric_changed())
    -%}
    {%- set is_touched =
        'touched.visitor_id is not null' if is_partial and of_everybody else 'true'
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
    {%- elif is_partial %}
    left join ({{ optimizely_e3.touched_visitors() }}) as touched
        on source_rows.visitor_id = touched.visitor_id
    {%- endif %}
{% endmacro %}
