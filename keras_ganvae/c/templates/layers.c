{% for each in layers if each.layer.code %}

{% for array in each.layer.arrays %}
{{ array.definition }}

{% endfor %}
/* {{ each.layer.title }} */
static void layer_{{ each.number }}(const {{ type }} *x, {{ type }} *y)
{
{{ each.layer.code -}}
}
{% endfor %}

/* The pixels of a latent, in the work buffer. */
static const {{ type }} *decoded(const {{ type }} *z)
{
{% for each in layers if each.layer.code %}
    layer_{{ each.number }}({{ each.x }}, {{ each.y }});
{% endfor %}
    return {{ pixels }};
}
