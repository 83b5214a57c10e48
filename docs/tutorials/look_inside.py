# %% [markdown]
# # look_inside
