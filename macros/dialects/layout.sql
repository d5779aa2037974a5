{#
    What stands after `select` at the end of a model that Spark partitions by `column`: rows of one
    partition are brought together first, else each task would write a small file into each.
#}
{% macro gathered_by(column) %}
    {{- adapter.dispatch('gathered_by', 'optimizely_e3')(column) -}}
{% endmacro %}

{% macro default__gathered_by(column) %}{% endmacro %}

{% macro spark__gathered_by(column) %} /*+ rebalance({{ column }}) */{% endmacro %}
